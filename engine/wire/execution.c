/* execution: the bodies of the operations that execution alone writes: a block's beginning, a refusal, a signed bundle's head,
 * a member expelled. */
#include "wire/fields.h"

enum { BLOCK_SZ = 16, SHORT_SZ = 8 };

static uint32_t body_sz(uint8_t type) { return type == KH_OP_REFUSED || type == KH_OP_EXPELLED ? SHORT_SZ : BLOCK_SZ; }

static bool sound(const kh_op *op)
{
    switch (op->type) {
    case KH_OP_BLOCK: return op->party == 0 && op->block.height != 0 && (op->block.flags & ~(uint32_t)KH_BLOCK_MORE) == 0;
    case KH_OP_REFUSED: return op->refused.code != KH_C_OK;
    case KH_OP_EXPELLED: return op->party == 0 && op->expelled.id != 0;
    default: return op->bundle.number != 0 && op->bundle.op_cnt != 0;
    }
}

bool kh_out_execution(kh_fields_out *out, const kh_op *op)
{
    if (!kh_op_of_execution(op->type)) return false;
    if (!sound(op)) out->bad = true;
    uint8_t *p = kh_out_zeroed(out, body_sz(op->type));
    if (p == NULL) return true;
    switch (op->type) {
    case KH_OP_BLOCK:
        kh_store64(p, op->block.height);
        kh_store32(p + 8, op->block.flags);
        kh_store32(p + 12, op->block.part);
        break;
    case KH_OP_REFUSED: kh_store16(p, op->refused.code); break;
    case KH_OP_EXPELLED: kh_store32(p, op->expelled.id); break;
    default:
        kh_store64(p, op->bundle.number);
        kh_store32(p + 8, op->bundle.op_cnt);
        break;
    }
    return true;
}

bool kh_in_execution(kh_fields_in *in, kh_op *ret)
{
    if (!kh_op_of_execution(ret->type)) return false;
    const uint8_t *p = kh_in_take(in, body_sz(ret->type));
    if (p == NULL) return true;
    switch (ret->type) {
    case KH_OP_BLOCK: ret->block = (kh_op_block){kh_load64(p), kh_load32(p + 8), kh_load32(p + 12)}; break;
    case KH_OP_REFUSED:
        ret->refused = (kh_op_refused){kh_load16(p)};
        if (kh_load16(p + 2) != 0 || kh_load32(p + 4) != 0) in->bad = true;
        break;
    case KH_OP_EXPELLED:
        ret->expelled = (kh_op_expelled){kh_load32(p)};
        if (kh_load32(p + 4) != 0) in->bad = true;
        break;
    default:
        ret->bundle = (kh_op_bundle){kh_load64(p), kh_load32(p + 8)};
        if (kh_load32(p + 12) != 0) in->bad = true;
        break;
    }
    if (!in->bad && !sound(ret)) in->bad = true;
    return true;
}
