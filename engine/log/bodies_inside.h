/* bodies_inside: what the parts of bodies share.
 *
 *   bodies.c          what is called from outside, and the writer
 *   bodies_table.c    digest -> where it is; who may be forgotten, and what each sender has used of its quota
 *   bodies_file.c     records and files: a group written and made durable, one body read, files removed
 *   bodies_recover.c  opening: every file walked, a torn tail cut, damage told
 *
 * `lock` guards everything but the newest file's handle and end, which `writing` guards; `writing` is taken first. */
#ifndef KH_LOG_BODIES_INSIDE_H
#define KH_LOG_BODIES_INSIDE_H
#include "log/bodies.h"
#include "log/envelope.h"
#include <pthread.h>
#include <stdatomic.h>

#define KH_BODIES_FILE_SZ (UINT64_C(64) << 20)  /* a new file is begun where one would get longer */
#define KH_BODIES_GROUP_SZ (UINT64_C(16) << 20) /* that one sync makes durable at most */
#define KH_BODIES_PATH_SZ 4096

/* --- records: docs/CLUSTER.md --- */
#define KH_BODY_HEAD_SZ 88u
typedef struct kh_body_record {
    kh_body_name name;
    uint64_t group, check; /* where in the file its group began: all before was durable; XXH3-64 of the bytes */
} kh_body_record;
void kh_body_head_encode(const kh_body_record *record, uint32_t file_number, uint64_t offset, uint8_t ret[KH_BODY_HEAD_SZ]);
KH_MUST bool kh_body_head_decode(const uint8_t p[KH_BODY_HEAD_SZ], uint32_t file_number, uint64_t offset, kh_body_record *ret);
static inline uint64_t kh_body_record_sz(uint64_t size) { return (KH_BODY_HEAD_SZ + size + 7) & ~UINT64_C(7); }

typedef struct kh_body_file {
    struct kh_body_file *next; /* ascending numbers */
    uint32_t number;
    uint32_t holds;          /* readers, and written records that are not in the table yet */
    uint64_t size, body_cnt; /* body_cnt: places that lie in it */
} kh_body_file;

typedef struct kh_body {
    struct kh_body *next;                /* in its bucket */
    struct kh_body *before, *behind;     /* in the list of those that were not ordered */
    kh_body_name name;                   /* expires_ns: as it is on disk */
    uint64_t queued_expires_ns, charged; /* of what is being written; bytes of the sender's quota */
    uint32_t queued;                     /* writes of it that have not ended */
    bool dropped;                        /* meanwhile: it goes when they have */
    kh_body_file *file;                  /* NULL: not stored */
    uint64_t offset;                     /* of its record */
} kh_body;

typedef struct kh_body_job {
    struct kh_body_job *next;
    kh_body_record record;
    kh_body_done done;
    void *ctx;
    uint8_t *p; /* head, bytes, zeros; NULL: waits only for what is before it */
    size_t n;
    kh_body_file *file; /* where it was written */
    uint64_t offset;
} kh_body_job;

typedef struct kh_body_sender {
    uint32_t id;
    uint64_t used;
} kh_body_sender;

struct kh_bodies {
    kh_disk disk;
    char *dir;
    uint64_t quota, file_max_sz;
    bool inline_writer;
    pthread_mutex_t lock, writing;
    pthread_cond_t work;
    pthread_t writer;
    /* the table */
    kh_body **buckets;
    uint64_t bucket_cnt, body_cnt;
    kh_body *unordered;   /* a list, newest first */
    uint64_t earliest_ns; /* none of the list expires before */
    bool keep_all;        /* there was no memory for a mark of being ordered: nothing may be forgotten */
    kh_body_sender *senders;
    uint32_t sender_cnt, sender_cap;
    /* the files */
    kh_body_file *files, *newest;
    kh_file *open; /* the newest, for writing; its durable end is newest->size */
    _Atomic uint64_t bytes;
    /* the queue */
    kh_body_job *first, *last;
    uint64_t queue_sz;
    bool failed, stop;
};

/* --- table: call with lock held --- */
KH_MUST bool kh_bodies_table_init(kh_bodies *b);
void kh_bodies_table_free(kh_bodies *b);
kh_body *kh_bodies_find(kh_bodies *b, const uint8_t digest[32]);
/* kh_bodies_add makes an entry that is stored nowhere; NULL: no memory. */
kh_body *kh_bodies_add(kh_bodies *b, const kh_body_name *name);
void kh_bodies_remove(kh_bodies *b, kh_body *body);
/* kh_bodies_charge: KH_E_FULL: the sender's quota does not have it. */
KH_MUST kh_err kh_bodies_charge(kh_bodies *b, kh_body *body, uint64_t n, bool bounded);
void kh_bodies_refund(kh_bodies *b, kh_body *body, uint64_t n);
void kh_bodies_mark_ordered(kh_bodies *b, kh_body *body);
void kh_bodies_place(kh_body *body, kh_body_file *file, uint64_t offset, uint64_t expires_ns);
void kh_bodies_unplace(kh_body *body);

/* --- files --- */
/* kh_bodies_path writes DIR/%08x.bodies. */
KH_MUST kh_err kh_bodies_path(const kh_bodies *b, uint32_t number, char ret[KH_BODIES_PATH_SZ]);
/* kh_bodies_file_add puts a file behind all others. */
kh_body_file *kh_bodies_file_add(kh_bodies *b, uint32_t number);
/* kh_bodies_write writes a group and makes it durable; call with writing held, not lock. Each written job holds its file. */
KH_MUST kh_err kh_bodies_write(kh_bodies *b, kh_body_job *jobs);
/* kh_bodies_reap takes the files in which nothing is needed off the list, with lock held; kh_bodies_unlink removes them, without.
 */
kh_body_file *kh_bodies_reap(kh_bodies *b);
void kh_bodies_unlink(kh_bodies *b, kh_body_file *files);

/* --- opening --- */
KH_MUST kh_err kh_bodies_recover(kh_bodies *b, char *why, size_t cap);
#endif
