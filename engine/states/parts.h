/* parts: what the files of states share, and nobody else includes.
 *
 *   states          life cycle, tick                             states.c
 *   held            what is held, wanted, and goes               held.c
 *   refused         what is not taken again                      refused.c
 *   file            heads, and where what is in a file           file.c
 *   maker, reader                                                maker.c, reader.c
 *   peers           messages, and what peers are given           peers.c
 *   fetch           what is wanted, from peers                   fetch.c, source.c */
#ifndef KH_STATES_PARTS_H
#define KH_STATES_PARTS_H
#include <pthread.h>
#include "states/states.h"
#include "crypto/digest.h"

enum {
    KH_STATE_SIGNED_SZ = 160,
    KH_STATE_NAMED_SZ = 96, /* of it: what its id is the digest of, and what is signed */
    KH_STATES_PATH_SZ = 1024,
    KH_STATES_FILES = 8, /* held at most */
    KH_STATES_REFUSED = 16,
    KH_STATES_PASSED = 8,
    KH_STATES_SOUGHT = 16 /* pieces that are looked for on disk in a tick, and that peers are given */
};

typedef struct kh_state_head {
    uint64_t height;
    uint32_t maker, epoch, pieces, last_sz; /* last_sz: of the last sealed piece */
    uint8_t list[32], id[32];
    uint8_t bytes[KH_STATE_SIGNED_SZ];
} kh_state_head;

typedef struct kh_state_refused {
    uint8_t id[32];
    uint32_t maker;
    bool is_false;  /* else it was left */
    uint64_t at_ns; /* by the clock of days: a restart's monotonic one is another */
} kh_state_refused;

typedef struct kh_states_peer {
    uint32_t id;
    bool up, member;
    /* what it has: asked, told */
    bool asked, answered, news; /* news: heads not looked at yet */
    uint32_t head_cnt;
    kh_state_head heads[KH_STATES_KEPT];
    bool signed_well[KH_STATES_KEPT];
    uint64_t rests_until_ns; /* it did not answer, had not what it said, or gave what is false */
    /* what it asks */
    bool which, list;
    uint8_t list_id[32];
    struct {
        uint8_t id[32];
        uint32_t piece;
    } questions[KH_STATES_AHEAD];
    uint32_t question_cnt;
    int64_t left; /* bytes that it may still be given */
    uint64_t left_at_ns;
} kh_states_peer;

typedef enum kh_slot_stage { KH_SLOT_FREE, KH_SLOT_ASKED, KH_SLOT_CAME } kh_slot_stage;
typedef struct kh_states_slot { /* one question of ours and its answer; under lock */
    kh_slot_stage stage;
    uint32_t peer, piece; /* piece: of a list: how many */
    uint8_t id[32];
    uint64_t at_ns;
    uint8_t *bytes; /* CAME; NULL: not had */
    size_t n;
} kh_states_slot;

typedef enum kh_piece_stage {                  /* of a piece of a file that is being fetched */
                              KH_PIECE_UNSEEN, /* nobody has looked whether it is there */
                              KH_PIECE_LACKS,
                              KH_PIECE_ASKED,
                              KH_PIECE_THERE
} kh_piece_stage;
typedef struct kh_states_fetch {                /* of the thread that ticks; but for the slots */
    uint64_t height;                            /* 0: nothing is fetched */
    uint64_t moved_ns, rests_until_ns, said_ns; /* moved: a piece came; said: an alert of the disk */
    uint64_t window_ns;                         /* since when it is looked how fast pieces come, and */
    uint32_t window_cnt;                        /* how many there were by then */
    uint8_t passed[KH_STATES_PASSED][32];       /* ids of this height whose pieces came too slowly */
    uint32_t passed_cnt;
    bool looked, chosen; /* looked: for a file of before; chosen: head is what is fetched */
    kh_state_head head;
    kh_file *file; /* once its list is there */
    uint8_t (*digests)[32];
    uint8_t *pieces;                    /* kh_piece_stage */
    uint32_t there_cnt, next, unsynced; /* next: none below it lacks */
} kh_states_fetch;

struct kh_states {
    kh_states_options options;
    char dir[KH_STATES_PATH_SZ - 64];
    uint32_t piece_sz, over_sz; /* over_sz: what sealing adds to a piece */
    pthread_mutex_t turn;       /* one tick at a time; taken before files, that before lock */
    pthread_mutex_t files;      /* names in the directory change */
    pthread_mutex_t lock;       /* all below but fetch; short */
    kh_state_head held[KH_STATES_FILES];
    uint32_t held_cnt;
    uint64_t making, parts[KH_STATES_FILES];
    uint32_t part_cnt;
    kh_state_refused refused[KH_STATES_REFUSED]; /* the oldest first */
    uint32_t refused_cnt, failed_cnt;            /* failed_cnt: so often was it tried in vain to take */
    uint8_t failed[32];                          /* this one */
    uint64_t wanted, keep[KH_STATES_KEPT], asked_ns;
    uint32_t keep_cnt;
    bool told, keeps, cleans,
        asks; /* told: held was called; keeps: keep was; cleans: since the last cleaning; asks: of_peers was */
    kh_states_peer peers[KH_STATES_PEERS_MAX];
    uint32_t peer_cnt;
    kh_states_people people;
    uint64_t looked_ns;
    kh_states_slot slots[KH_STATES_AHEAD], list;
    kh_states_counts counts;
    kh_states_fetch fetch;
};

/* ---- files ---- */
const char *kh_state_path(const kh_states *s, uint64_t height, const char *more, char ret[KH_STATES_PATH_SZ]);
size_t kh_state_piece_sz(const kh_states *s, const kh_state_head *h, uint32_t piece); /* sealed */
uint64_t kh_state_piece_at(const kh_states *s, uint32_t piece);
uint64_t kh_state_list_at(const kh_states *s, const kh_state_head *h);
uint64_t kh_state_file_sz(const kh_states *s, const kh_state_head *h);
/* kh_state_head_make: the fields are there; list, sign: bytes and id follow. */
KH_MUST kh_err kh_state_head_make(const kh_states *s, kh_state_head *h);
/* kh_state_head_of: false: no head of this chain and suite, or out of bounds. The signature is not looked at. */
KH_MUST bool kh_state_head_of(const kh_states *s, const uint8_t p[KH_STATE_SIGNED_SZ], kh_state_head *ret);
bool kh_state_head_signed(const kh_states *s, const kh_state_head *h, const uint8_t attest[KH_PUBLIC_SZ]);
/* kh_state_open_file: KH_E_DAMAGED: no file of ours, or not whole as far as head, list and size say; whose pieces may be
 *anything. ret_list: its digests, malloc'ed; NULL: not wanted. */
KH_MUST kh_err kh_state_open_file(const kh_states *s, uint64_t height, const char *more, kh_state_head *ret, kh_file **ret_file,
                                  uint8_t (**ret_list)[32]);
/* kh_state_open_held: the file of a head that is held, without looking at its list again; KH_E_NOT_FOUND: not that one. */
KH_MUST kh_err kh_state_open_held(kh_states *s, const kh_state_head *h, kh_file **ret);
/* kh_state_read_piece: p: piece_sz + over_sz bytes. KH_E_DAMAGED: not what the list says. digest: NULL: as in the file. */
KH_MUST kh_err kh_state_read_piece(const kh_states *s, kh_file *f, const kh_state_head *h, const uint8_t *digest, uint32_t piece,
                                   uint8_t *p);
KH_MUST kh_err kh_state_write(const kh_states *s, kh_file *f, uint64_t at, const void *p, size_t n);

/* ---- sealing ---- */
KH_MUST kh_err kh_state_seal(const kh_states *s, uint64_t height, uint32_t epoch, const uint8_t group[KH_PUBLIC_SZ],
                             uint32_t piece, bool last, const uint8_t *text, size_t n, uint8_t *ret);
/* kh_state_unseal: in place; the text stands behind the wrap: *ret. */
KH_MUST bool kh_state_unseal(const kh_states *s, const kh_state_head *h, const kh_box *box, uint32_t piece, uint8_t *p, size_t n,
                             const uint8_t **ret, size_t *ret_n);

/* ---- what is held ---- */
/* kh_states_publish: HEIGHT`more` is whole and synced: it becomes HEIGHT.state. KH_E_EXISTS: one is held; the other is taken
 * away. */
KH_MUST kh_err kh_states_publish(kh_states *s, const kh_state_head *h, const char *more);
/* kh_states_lost: a piece of it is not what was written: it goes, and is fetched again where it is wanted. */
void kh_states_lost(kh_states *s, const kh_state_head *h);
const kh_state_head *kh_states_held_of(const kh_states *s, uint64_t height); /* lock held, here and below; NULL */
const kh_state_head *kh_states_held_id(const kh_states *s, const uint8_t id[32]);
bool kh_states_forget(kh_states *s, const kh_state_head *h);                      /* it is held no more; false: it was not */
KH_MUST kh_err kh_states_remove(kh_states *s, uint64_t height, const char *more); /* files held; durable */
void kh_states_clean(kh_states *s);                                               /* files of heights that nobody keeps go */
void kh_states_part(kh_states *s, uint64_t height);                               /* there is a file HEIGHT.part */
uint64_t kh_states_room(const kh_states *s);                                      /* that may be written */
void kh_states_alert(kh_states *s, const char *word, uint32_t member, uint64_t height);
uint64_t kh_states_now(const kh_states *s);

/* ---- what is refused ---- */
KH_MUST kh_err kh_states_read_refused(kh_states *s);                 /* at opening; what is damaged goes */
bool kh_states_is_refused(const kh_states *s, const uint8_t id[32]); /* lock held */
bool kh_states_lied(const kh_states *s, uint32_t maker);             /* was one of this maker refused? Lock held */

/* ---- peers ---- */
kh_states_peer *kh_states_peer_of(kh_states *s, uint32_t id); /* lock held; NULL: none that is known */
void kh_states_look(kh_states *s);
void kh_states_judge(kh_states *s);             /* signatures of what peers said */
void kh_states_ask(kh_states *s, uint64_t now); /* all: which have you? */
void kh_states_give(kh_states *s, uint64_t now);

/* ---- fetching: the ticking thread ---- */
void kh_fetch_step(kh_states *s, uint64_t now);
void kh_fetch_close(kh_states *s); /* the file stays */
/* kh_source_choose: whose state of the wanted height; false: none (yet). kh_source_peer: who is asked for a piece of it, or its
   list; 0: nobody. kh_source_rests: a peer is left alone for a while. */
KH_MUST bool kh_source_choose(kh_states *s, uint64_t now, kh_state_head *ret);
uint32_t kh_source_peer(kh_states *s, uint64_t now, const uint8_t id[32]);
bool kh_source_passed(const kh_states *s, const uint8_t id[32]); /* it was left for another since it came too slowly */
void kh_source_rests(kh_states *s, uint32_t peer, uint64_t until_ns);
#endif
