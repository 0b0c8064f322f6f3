/* fuzz_config: any bytes as kanhed's configuration: an answer with a sentence or a configuration within its bounds, nothing else.
 */
#include <stdlib.h>
#include "process/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static kh_config c;
    char why[300] = "", host[KH_CONFIG_ADDRESS_MAX], url[600];
    uint16_t port;
    char *text = malloc(size + 1);
    if (text == NULL) return 0;
    memcpy(text, data, size);
    text[size] = '\0';
    if (kh_config_parse(text, "/etc/kanhe", "hub.conf", &c, why, sizeof why)) {
        KH_ASSERT(c.data[0] == '/' && kh_config_split(c.listen, host, &port) && c.workers <= 256);
        KH_ASSERT(c.datagrams.cpu_cnt == 0 || c.datagrams.cpu_cnt == c.datagrams.pollers);
        KH_ASSERT(c.max_connections_per_address <= c.max_connections && c.max_body >= 4096);
        kh_config_url(&c, 1, url, sizeof url);
        KH_ASSERT(strncmp(url, "https://", 8) == 0);
    } else KH_ASSERT(why[0] != '\0');
    free(text);
    return 0;
}
