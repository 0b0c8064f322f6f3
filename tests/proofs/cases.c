/* cases: receipts for both checkers, and what ours says of them.
 *
 * cases DIR SEED DAMAGES: writes DIR/N.genesis and DIR/N.receipt for each made-up cluster, and to stdout a line a case:
 * N receipt|genesis AT CUT HEX VERDICT: of that file CUT bytes at AT are replaced by those in HEX ("-": none). VERDICT is "proven
 * BANK FINANCING OPERATION CODE HEIGHT" or the word of the step that failed. */
#include "proof/proof.h"
#include "world_make.h"

static void keep(const char *dir, unsigned nth, const char *what, const pw_buffer *b)
{
    char path[600];
    (void)snprintf(path, sizeof path, "%s/%u.%s", dir, nth, what);
    FILE *f = fopen(path, "wb");
    if (f == NULL || fwrite(b->p, 1, b->n, f) != b->n || fclose(f) != 0) {
        perror(path);
        exit(1);
    }
}

static void say(unsigned nth, const char *what, const pw_damage *d, const pw_buffer *genesis, const pw_buffer *text)
{
    kh_proof_result r;
    if (kh_proof_check(text->p, text->n, genesis->p, genesis->n, &r) != KH_OK) exit(1);
    printf("%u %s %zu %zu ", nth, what, d->at, d->cut);
    for (size_t i = 0; i < d->put.n; i++) printf("%02x", (unsigned char)d->put.p[i]);
    printf("%s ", d->put.n == 0 ? "-" : "");
    if (r.step != KH_PROOF_PROVEN) printf("%s\n", kh_proof_step_word(r.step));
    else
        printf("proven %u %llu %s %u %llu\n", r.bank, (unsigned long long)r.financing, r.operation, r.code,
               (unsigned long long)r.height);
}

int main(int argc, char **argv)
{
    if (argc != 4) {
        fputs("usage: cases DIR SEED DAMAGES\n", stderr);
        return 2;
    }
    uint64_t seed = strtoull(argv[2], NULL, 10);
    unsigned damages = (unsigned)strtoul(argv[3], NULL, 10);
    pw_buffer damaged = {0};
    /* the truth twice in each suite, with all damages; each lie once */
    for (unsigned nth = 0; nth < 8 + PW_LIE_CNT; nth++) {
        pw_lie lie = nth < 8 ? PW_TRUTH : (pw_lie)(nth - 8);
        pw_shape shape = {nth % 2 == 0 ? KH_SUITE_INTL : KH_SUITE_GM,
                          4 + pw_below(&seed, 4),
                          3,
                          1 + pw_below(&seed, 3),
                          1 + pw_below(&seed, 20),
                          1 + pw_below(&seed, 9),
                          8,
                          pw_next(&seed),
                          lie};
        pw_world w = pw_make(&shape);
        pw_damage none = {0};
        keep(argv[1], nth, "genesis", &w.genesis);
        keep(argv[1], nth, "receipt", &w.receipt);
        say(nth, "receipt", &none, &w.genesis, &w.receipt);
        for (unsigned k = 0; nth < 8 && k < damages / 8; k++) {
            pw_damage d = pw_damage_draw(&seed, &w.receipt);
            if (pw_damaged(&w.receipt, &d, &damaged)) say(nth, "receipt", &d, &w.genesis, &damaged);
            free(d.put.p);
        }
        for (unsigned k = 0; nth < 8 && k < damages / 32; k++) {
            pw_damage d = pw_damage_draw(&seed, &w.genesis);
            if (pw_damaged(&w.genesis, &d, &damaged)) say(nth, "genesis", &d, &damaged, &w.receipt);
            free(d.put.p);
        }
        pw_free(&w);
    }
    free(damaged.p);
    return 0;
}
