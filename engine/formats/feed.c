/* feed: what is particular to a source: the single window's usual codes, and the settings of conf/sources.conf. */
#include "formats/formats.h"

#include <libconfig.h>

static const struct {
    const char *channel;
    uint8_t status;
} usual[] = {{"R", KH_STATUS_CLEARED},
             {"P", KH_STATUS_RELEASED},
             {"D", KH_STATUS_REVOKED},
             {"M", KH_STATUS_ACCEPTED},
             {"Z", KH_STATUS_REJECTED}};

void kh_feed_default(kh_feed *feed)
{
    memset(feed, 0, sizeof *feed);
    for (size_t i = 0; i < sizeof usual / sizeof usual[0]; i++) {
        strcpy(feed->channels[i].channel, usual[i].channel);
        feed->channels[i].status = usual[i].status;
    }
    feed->channel_cnt = sizeof usual / sizeof usual[0];
}

/* channels = ( { code = "R"; status = "cleared"; }, … ); they replace the usual ones. */
static kh_err read_channels(const config_setting_t *list, kh_feed *feed)
{
    int cnt = config_setting_length(list);
    if (!config_setting_is_list(list) || cnt > (int)(sizeof feed->channels / sizeof feed->channels[0])) return KH_E_FORMAT;
    feed->channel_cnt = 0;
    for (int i = 0; i < cnt; i++) {
        const config_setting_t *one = config_setting_get_elem(list, (unsigned)i);
        const char *code = NULL, *word = NULL;
        kh_status status;
        if (!config_setting_lookup_string(one, "code", &code) || !config_setting_lookup_string(one, "status", &word))
            return KH_E_FORMAT;
        if (code[0] == '\0' || strlen(code) >= sizeof feed->channels[0].channel) return KH_E_FORMAT;
        if (!kh_status_of_word(KH_KIND_EXPORT_DECLARATION, kh_text_of(word), &status)) return KH_E_FORMAT;
        strcpy(feed->channels[i].channel, code);
        feed->channels[i].status = (uint8_t)status;
        feed->channel_cnt++;
    }
    return KH_OK;
}

static kh_err read_source(const config_setting_t *source, kh_feed *feed)
{
    const config_setting_t *notice = config_setting_get_member(source, "requests_need_notice");
    const config_setting_t *channels = config_setting_get_member(source, "channels");
    if (notice != NULL && config_setting_type(notice) != CONFIG_TYPE_BOOL) return KH_E_FORMAT;
    if (notice != NULL) feed->requests_need_notice = config_setting_get_bool(notice) != 0;
    return channels != NULL ? read_channels(channels, feed) : KH_OK;
}

kh_err kh_feed_load(const char *path, const char *name, kh_feed *feed)
{
    config_t config;
    kh_feed result;
    kh_err err = KH_E_NOT_FOUND;
    kh_feed_default(&result);
    result.source = feed->source;
    config_init(&config);
    if (config_read_file(&config, path) == CONFIG_FALSE) {
        bool unreadable = config_error_type(&config) == CONFIG_ERR_FILE_IO;
        config_destroy(&config);
        return unreadable ? KH_E_IO : KH_E_FORMAT;
    }
    const config_setting_t *sources = config_lookup(&config, "sources");
    int cnt = sources != NULL ? config_setting_length(sources) : 0;
    for (int i = 0; i < cnt && err == KH_E_NOT_FOUND; i++) {
        const config_setting_t *one = config_setting_get_elem(sources, (unsigned)i);
        const char *own_name = NULL;
        if (config_setting_lookup_string(one, "name", &own_name) && strcmp(own_name, name) == 0) err = read_source(one, &result);
    }
    config_destroy(&config);
    if (err == KH_OK) *feed = result;
    return err;
}
