/* reader: how a thread becomes a reader of the index, [R] in index.h: urcu-qsbr behind functions that TSan understands.
 *
 * A reader registers once, announces a quiescent state where it holds no record pointers (once a burst), and goes offline before
 * anything that can block; else the writer waits for it. All calls are for the calling thread. */
#ifndef KH_INDEX_READER_H
#define KH_INDEX_READER_H

void kh_reader_register(void); /* the thread is online afterwards */
void kh_reader_unregister(void);
void kh_reader_online(void);
void kh_reader_offline(void);
void kh_reader_quiesce(void);

/* kh_reader_wait_grace returns when every reader has been quiescent since: what was taken out of their reach before may be freed.
   For any thread, registered or not; may block. */
void kh_reader_wait_grace(void);

/* For the index itself: what TSan must be told after synchronize_rcu. */
void kh_reader_tsan_after_grace(void);

#endif
