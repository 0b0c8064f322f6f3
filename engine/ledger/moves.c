/* moves: the life cycle of a financing: which event leads from which state to which. Every move keeps the balances' invariants;
 * OVERDUE and WRITTEN_OFF are reserved: nothing leads there. A repayment that leaves nothing owed leads to SETTLED instead. */
#include "ledger/machine.h"

static const uint8_t table[KH_FIN_STATE_CNT][KH_EV_CNT] = {
    [KH_FIN_NONE] = {[KH_EV_APPLY] = KH_FIN_APPLIED},
    [KH_FIN_APPLIED] = {[KH_EV_ACCEPT] = KH_FIN_ACCEPTED,
                        [KH_EV_REJECT] = KH_FIN_REJECTED,
                        [KH_EV_WITHDRAW] = KH_FIN_WITHDRAWN,
                        [KH_EV_LAPSE] = KH_FIN_LAPSED},
    [KH_FIN_ACCEPTED] = {[KH_EV_APPROVE] = KH_FIN_APPROVED,
                         [KH_EV_REJECT] = KH_FIN_REJECTED,
                         [KH_EV_WITHDRAW] = KH_FIN_WITHDRAWN,
                         [KH_EV_LAPSE] = KH_FIN_LAPSED},
    [KH_FIN_APPROVED] = {[KH_EV_DISBURSE] = KH_FIN_DISBURSED, [KH_EV_WITHDRAW] = KH_FIN_WITHDRAWN, [KH_EV_LAPSE] = KH_FIN_LAPSED},
    [KH_FIN_DISBURSED] = {[KH_EV_REPAY] = KH_FIN_PART_REPAID, [KH_EV_REVERSE] = KH_FIN_REVERSED},
    [KH_FIN_PART_REPAID] = {[KH_EV_REPAY] = KH_FIN_PART_REPAID},
};

kh_fin_state kh_move_to(uint8_t from, kh_event event) { return (kh_fin_state)table[from][event]; }

bool kh_fin_holds(kh_fin_state state) { return state == KH_FIN_APPLIED || state == KH_FIN_ACCEPTED || state == KH_FIN_APPROVED; }

bool kh_fin_is_open(kh_fin_state state)
{
    return kh_fin_holds(state) || state == KH_FIN_DISBURSED || state == KH_FIN_PART_REPAID;
}
