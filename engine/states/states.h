/* states: sealed states of checkpoints: made by hubs, kept and passed on by any node, opened by hubs alone.
 *
 * The state of a checkpoint's height is a stream of bytes, cut into pieces of KH_STATE_PIECE_SZ, each sealed to the hubs' group
 * key of an epoch. Its head names chain, height, epoch, maker and the SHA-256 of the list of its pieces' SHA-256 digests, and is
 * signed with the maker's attestation key: what a node fetches is from a hub, whoever gives it. Two hubs' states of a height are
 * other bytes; each is whole by itself. Bytes on the wire and on disk: docs/CLUSTER.md.
 *
 * Files    DIR/states/HEIGHT.state: held. HEIGHT.part: being fetched; what is there of it is not asked for again after a
 *          restart. HEIGHT.making: being made; a start takes it away. Durable before it is said to be held. refused: which are
 *          false, and whose.
 * Threads  every function may be called by any, one maker or reader by one at a time. kh_states_tick does what waits for the disk
 *          and for signatures: call it from a thread of its own, each 20 ms or so; received waits for neither. Call-backs come
 *          from tick, alerts from a reader too, and may call all but close and tick; maker and reader work in their caller's
 *          thread.
 * Bounds   KH_STATE_PIECES_MAX pieces; KH_STATES_ROOM bytes of the disk stay free; KH_STATES_AHEAD pieces are under way to us,
 *          and as many questions of a peer wait for us, of which KH_STATES_A_SECOND bytes a second are answered. */
#ifndef KH_STATES_H
#define KH_STATES_H
#include "base/effects.h"
#include "order/order.h"

#define KH_STATE_PIECE_SZ (1u << 20) /* of plaintext */
#define KH_STATE_PIECES_MAX (1u << 18)
#define KH_STATES_ROOM (UINT64_C(2) << 30) /* above where kanhed says that the disk is low */
#define KH_STATES_AHEAD 4u
#define KH_STATES_A_SECOND (UINT64_C(32) << 20)
#define KH_STATES_KEPT 4u /* heights that kh_states_keep may name */
#define KH_STATES_TRIES 3u
#define KH_STATES_REFUSED_NS (86400 * KH_NS_PER_S)
#define KH_STATES_PEERS_MAX 64u

typedef enum kh_states_message {                          /* types on the links, beside kh_message_type */
                                 KH_MSG_STATES_WHICH = 9, /* empty: which states have you? */
                                 KH_MSG_STATES_HAVE = 10, /* heads, KH_STATES_KEPT at most */
                                 KH_MSG_LIST_WANT = 11,   /* id 32 */
                                 KH_MSG_LIST_GIVE = 12,   /* id 32, digests; none: not had */
                                 KH_MSG_PIECE_WANT = 13,  /* id 32, number 4 */
                                 KH_MSG_PIECE_GIVE = 14   /* id 32, number 4, sealed piece; none: not had */
} kh_states_message;
#define KH_STATES_MESSAGE_FIRST KH_MSG_STATES_WHICH
#define KH_STATES_MESSAGE_LAST KH_MSG_PIECE_GIVE

/* kh_states_people: who there is, as of now; tick looks again each second. */
typedef struct kh_states_people {
    uint32_t peer_cnt;
    uint32_t peers[KH_STATES_PEERS_MAX]; /* that are up: they are asked */
    uint32_t member_cnt;
    uint32_t members[KH_MEMBERS_MAX]; /* not expelled ones: they may ask */
    uint32_t hub_cnt;
    struct {
        uint32_t id;
        uint8_t attest[KH_PUBLIC_SZ];
    } hubs[KH_MEMBERS_MAX]; /* ascending; their states are taken */
    uint32_t place;         /* this node's among those who are to hold it: by it one of the hubs' states is preferred, so that not
                               all hold the same; UINT32_MAX: any is taken at once */
    uint64_t waits_height;  /* with a place: of this height no other hub's is taken yet; 0: of none */
} kh_states_people;

typedef struct kh_states_options {
    uint32_t self; /* member */
    kh_suite suite;
    uint8_t chain[32];
    const kh_signer *sign; /* this hub's attestation key; NULL: it makes none */
    const kh_disk *disk;   /* its synchronous calls; any thread's */
    const char *dir;
    const kh_entropy *entropy;
    const kh_clock *clock;
    void (*look)(void *ctx, kh_states_people *ret);
    void (*send)(void *ctx, uint32_t to, uint8_t type, const uint8_t *p, size_t n);
    /* held: what kh_states_want names is there, whole and durable, from now or before; once, and again where it was lost. */
    void (*held)(void *ctx, uint64_t height);
    /* alert: STATE_FALSE_PIECE, STATE_FALSE_LIST (member gave it), STATE_DAMAGED (here: it is fetched again), STATE_NO_ROOM,
       STATE_FAILED (the disk): member 0. */
    void (*alert)(void *ctx, const char *word, uint32_t member, uint64_t height);
    uint64_t (*room)(void *ctx); /* bytes free where dir is; NULL: nobody asks */
    uint32_t piece_sz;           /* 0: KH_STATE_PIECE_SZ, and nothing else but for tests: no node takes states of other pieces */
    void *ctx;
} kh_states_options;

typedef struct kh_states kh_states;
/* kh_states_open makes DIR/states where it is missing, takes away what a crash left of makers, and what is not as it was written
   by its head and list; pieces are looked at when they are asked for or read. KH_E_ARG, KH_E_NOMEM, the disk's. */
KH_MUST kh_err kh_states_open(const kh_states_options *options, char *why, size_t cap, kh_states **ret);
void kh_states_close(kh_states *s); /* NULL: nothing. No maker or reader is left, nobody calls any more */

/* ---- making, at a hub; memory: a piece, and 32 bytes for each ---- */
typedef struct kh_state_maker kh_state_maker;
/* kh_states_make: group_public: of this epoch. KH_E_EXISTS: one of that height is held already, or being made; KH_E_CLOSED: there
   is no key to sign with. */
KH_MUST kh_err kh_states_make(kh_states *s, uint64_t height, uint32_t epoch, const uint8_t group_public[KH_PUBLIC_SZ],
                              kh_state_maker **ret);
/* kh_state_maker_write: any sizes. KH_E_NOSPACE: also where less than KH_STATES_ROOM would be left; KH_E_FULL: more than
   KH_STATE_PIECES_MAX; after an error only abort. */
KH_MUST kh_err kh_state_maker_write(kh_state_maker *m, const void *p, size_t n);
/* kh_state_maker_end: durable and held, given to who asks. Frees the maker, whatever it returns. */
KH_MUST kh_err kh_state_maker_end(kh_state_maker *m);
void kh_state_maker_abort(kh_state_maker *m); /* NULL: nothing */

/* ---- reading, at a hub ---- */
typedef struct kh_state_reader kh_state_reader;
typedef struct kh_state_of { /* as its head says; the maker's signature was good when it came */
    uint64_t height, size;   /* size: of its plaintext */
    uint32_t epoch, maker, pieces;
} kh_state_of;
/* kh_states_read: box_of: the group's private key of an epoch, NULL: not had; used in this call alone to find the box, which
   stays until the reader is closed. KH_E_NOT_FOUND: not held; KH_E_CLOSED: the key of its epoch lacks (ret_of says which; may be
   NULL). What is held may go meanwhile (kh_states_keep): the reader reads on. */
KH_MUST kh_err kh_states_read(kh_states *s, uint64_t height, const kh_box *(*box_of)(void *ctx, uint32_t epoch), void *ctx,
                              kh_state_of *ret_of, kh_state_reader **ret);
/* kh_state_reader_read gives up to n bytes of the stream; *ret_n 0: there are no more. KH_E_DAMAGED: a piece is not what was
   written here; KH_E_FORMAT: it cannot be opened: its maker made a false one. What came before was good. */
KH_MUST kh_err kh_state_reader_read(kh_state_reader *r, void *p, size_t n, size_t *ret_n);
uint32_t kh_state_reader_piece(const kh_state_reader *r); /* the number of the piece that is read, for messages */
void kh_state_reader_close(kh_state_reader *r);           /* NULL: nothing */

/* ---- holding and fetching ---- */
bool kh_states_holds(kh_states *s, uint64_t height);
/* kh_states_want: fetch it from peers until it is held; 0: nothing. Another height takes its place. */
void kh_states_want(kh_states *s, uint64_t height);
/* kh_states_keep: the files of other heights go, but for that of the wanted one, and those above all named ones: the order that
   names them may be older than what this node said to hold. 0: no height, but one that all are above; cnt 0: all go. cnt <=
   KH_STATES_KEPT. */
void kh_states_keep(kh_states *s, const uint64_t *heights, uint32_t cnt);
/* kh_states_refuse: what is held of this height is false inside: it goes, and is not taken again for KH_STATES_REFUSED_NS by the
   clock of days, restarts or not; where it is wanted, another maker's is fetched, one of whom none was refused before any of whom
   one was. *ret_maker: whose it was; KH_E_NOT_FOUND: none is held.
   kh_states_leave: what is held could not be taken, though nobody can say that it is false. The KH_STATES_TRIESth time that this
   is said of one, and a peer has another maker's by what it said (each call asks), it goes as a refused one does, until a restart
   at most; else KH_E_AGAIN, and it stays.
   kh_states_forgive: a state was taken, or none is to be: nobody is refused any more. */
KH_MUST kh_err kh_states_refuse(kh_states *s, uint64_t height, uint32_t *ret_maker);
KH_MUST kh_err kh_states_leave(kh_states *s, uint64_t height, uint32_t *ret_maker);
void kh_states_forgive(kh_states *s);
/* kh_states_of_peers: the newest height that two peers reach by what they said that they have, in answer to this call and those
   before, which ask: one alone is believed only where no other has any. What a hub that `look` names has signed where there is
   such, else whatever peers say. 0: nobody has answered yet with any. *ret_answers: how many peers have answered at all; may be
   NULL. */
uint64_t kh_states_of_peers(kh_states *s, uint32_t *ret_answers);

/* kh_states_received takes a message of these types of a peer; it copies. kh_states_tick: see Threads. */
void kh_states_received(kh_states *s, uint32_t from, uint8_t type, const uint8_t *p, size_t n);
void kh_states_tick(kh_states *s);

typedef struct kh_states_counts {
    uint64_t held, newest, wanted, pieces,
        pieces_there; /* held: how many; newest: its height; pieces: of the one being fetched */
    uint64_t pieces_given, pieces_taken, false_given, bytes; /* false_given: by peers; bytes: of the files held */
} kh_states_counts;
void kh_states_count(kh_states *s, kh_states_counts *ret);
#endif
