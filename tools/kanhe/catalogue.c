/* catalogue: the commands, and what --help says of each. */
#include "commands.h"

#define PAPER_HELP                                                                                                                       \
    "\n  KIND:NUMBER[@ISSUER]   the document (单证): export_declaration 出口报关单, import_declaration 进口报关单, invoice " \
    "发票, credit_note,\n"                                                                                                             \
    "                         order, receivable, bill_of_lading, warehouse_receipt, tax_filing, capital_voucher.\n"                      \
    "                         The characters % @ / = inside NUMBER and ISSUER are written %XX\n"                                         \
    "  --issuer ID            the issuer (开具方) of a foreign invoice, in any spelling\n"                                            \
    "  --as PARTY             who asks: id or name; without it the operator (the regulator's rights)\n"                                  \
    "  --owner ID --amount A  a bank's proof that it holds the paper: the owner's id and the declared total\n"                           \
    "  --attested             of a bank's node in a cluster: only where a quorum of hubs say the same\n"

#define EVENT_OPTIONS "--as= --amount= --allot=* --source= --reason= --expect="
#define EVENT_HELP                                                                                                               \
    "\n  --as BANK              the bank whose financing it is\n"                                                                \
    "  --amount A             disburse, repay: how much; else the sum of --allot, else all that is approved or owed\n"           \
    "  --allot KIND:NUMBER[@ISSUER][/CUR]=A   which document takes which part; else in the order of the request's lines\n"       \
    "  --source collection|own-funds          repay: the buyer paid (收汇: the balance does not come back), or own funds "     \
    "(自有资金: it does)\n"                                                                                                  \
    "  --reason CODE          reject, withdraw: customer_request documents_incomplete credit_declined duplicate "                \
    "fraud_suspected other\n"                                                                                                    \
    "  --expect V             the version that the financing must have: then sending it again is harmless\n"                     \
    "\nexample:\n  kanhe finance disburse 1 --as 11 --amount 800.00\n  kanhe finance repay 1 --as 11 --amount 300.00 --source "  \
    "collection\n"
#define EVENT(word, about)                                                                                                       \
    {                                                                                                                            \
        "finance " word, EVENT_OPTIONS, command_finance_event, false,                                                            \
            "finance " word " ID --as BANK [--amount A] [--allot KIND:NUMBER=A ...] [--source S] [--reason CODE] [--expect V]",  \
            about, EVENT_HELP                                                                                                    \
    }

#define RISK_HELP                                                                                                                   \
    "\n  SUBJECT           a USCC, a foreign id or an account number (统一社会信用代码, 账号); only its digest is kept\n" \
    "  --category C      fraud 欺诈, high_risk_account 高风险账户, forged_document 伪造单证, default 违约, other 其他\n"

#define CHANGE(kind, options, usage, about, help)                                                                                \
    {                                                                                                                            \
        "change " kind, options " -o=", command_change_make, true, "change " kind " " usage " -o FILE", about,                   \
            help "\nNeeds --connect: the node says for which chain the change is, and its number. Then: change sign, change "    \
                 "submit.\n"                                                                                                     \
    }

const command commands[] = {
    {"init", "--rules= --secret= --from= --digest= --checkpoint-digest=", command_init, true,
     "init [--rules FILE | --from CHECKPOINT [--digest HEX] [--checkpoint-digest HEX]] [--secret FILE]",
     "make a data directory (建立数据目录); refuses one that is not empty",
     "\n  --rules FILE    lines NAME VALUE: the rules to begin with (kanhe rule list shows the names)\n"
     "  --secret FILE   16 bytes or 32 hexadecimal digits: the key of the index's placement; random when not given\n"
     "  --from FILE     begin where a checkpoint (检查点) ends: `kanhe checkpoint` makes one; - is standard input\n"
     "  --digest HEX, --checkpoint-digest HEX   what `audit` must print of these in the new directory; else it is refused\n"
     "\nexample:\n  kanhe --data /var/lib/kanhe init\n"
     "  kanhe --data OLD checkpoint -o c && kanhe --data NEW init --from c && kanhe --data NEW audit\n"},
    {"party add", "--id= --role= --name= --uscc=", command_party_add, false,
     "party add --id N --role regulator|bank|enterprise|source --name TEXT [--uscc CODE]", "register a party (登记主体)",
     "\n  --id N        its number, 1 and up\n  --role        regulator 监管, bank 银行, enterprise 企业, source 数据源\n"
     "  --name TEXT   its name; --as takes it as well as the id\n  --uscc CODE   统一社会信用代码, or a foreign id\n"
     "\nexample:\n  kanhe party add --id 101 --role enterprise --name \"Exporter Ltd\" --uscc 91350211M000100Y46\n"},
    {"party list", "", command_party_list, false, "party list", "all parties", ""},
    {"party freeze", "", command_party_freeze, false, "party freeze PARTY", "freeze a party (冻结): no new business, no answers",
     ""},
    {"party unfreeze", "", command_party_unfreeze, false, "party unfreeze PARTY", "lift a freeze (解冻)", ""},
    {"party key", "--public=", command_party_key, false, "party key PARTY --public HEX",
     "register an enterprise's own key (企业公钥): by it a cluster knows what the enterprise signed",
     "\n  --public HEX    128 hexadecimal digits, as `kanhe-key SUITE sign FILE` prints them; none: it has no key any more\n"},
    {"rule set", "", command_rule_set, false, "rule set NAME VALUE", "set a rule (规则), from now on",
     "\nexample:\n  kanhe rule set ratio_bp.kind.invoice 8000     # an invoice is worth 80 %\n  kanhe rule set hold_ttl_applied "
     "36h\n"},
    {"rule list", "", command_rule_list, false, "rule list", "all rules with their values", ""},
    {"rate set", "--date= --source=", command_rate_set, false, "rate set FROM TO VALUE --date D --source TEXT",
     "set an exchange rate (汇率): 1 FROM = VALUE TO",
     "\nexample:\n  kanhe rate set EUR USD 1.0834 --date 2026-11-24 --source ECB\n"},
    {"rate list", "", command_rate_list, false, "rate list", "all exchange rates", ""},
    {"import", "--format= --kind= --source= --force", command_import, false,
     "import FILE... [--format F] [--kind K] [--source NAME] [--force]", "read documents from files (导入单证)",
     "\n  --format F      csv jsonl ubl cii edifact wco decmessage; detected when not given\n"
     "  --kind K        the kind of lines that name none\n  --source NAME   the feed (数据源): a party of role source, or a "
     "section of sources.conf\n"
     "  --force         an earlier version may come again as the newest\n"
     "\nRefused lines are printed, and written to FILE.refused.csv with their code and why.\n"
     "CSV needs kind,number,owner_id,currency,amount,date (Chinese headers are understood).\n"
     "\nexample:\n  kanhe import declarations.csv invoice.xml notice.xml\n"},
    {"show", "--format= --kind=", command_show, false, "show FILE [--format F] [--kind K]",
     "how a file is read, without storing it", ""},
    {"verify", "--as= -o= --attested", command_verify, false, "verify FILE [--as PARTY] [-o OUT.csv] [--attested]",
     "a verdict for each line of a file (批量核验)",
     "\nFILE: CSV or JSON Lines with kind,number,owner_id,currency,amount,date and optionally "
     "issuer_id,direction,contract_no,want_amount,version.\n"
     "\nexample:\n  kanhe verify batch.csv --as 11 -o verdicts.csv\n"},
    {"balance", "--issuer= --as= --owner= --amount= --attested", command_balance, false,
     "balance KIND:NUMBER[@ISSUER] [--issuer ID] [--as PARTY] [--owner ID --amount A] [--attested]",
     "how much of a document is free (可融资余额)",
     PAPER_HELP "\nexample:\n  kanhe balance export_declaration:310120260123456789\n"},
    {"history", "--issuer= --as= --owner= --amount= --attested", command_history, false,
     "history KIND:NUMBER[@ISSUER] [--issuer ID] [--as PARTY] [--owner ID --amount A] [--attested]",
     "what happened to a document (单证历史)", PAPER_HELP},
    {"alerts", "--as=", command_alerts, false, "alerts [--as PARTY]",
     "what a bank must know (预警): over limit, revoked, cancelled, lapsed, similar", ""},
    {"finance apply",
     "--as= --id= --enterprise= --product= --amount= --currency= --doc=* --allow-partial --file=", command_finance_apply, false,
     "finance apply --as BANK (--id N --enterprise ID --product P --amount A --currency C --doc DOCUMENT... | --file "
     "REQUESTS.csv) [--allow-partial]",
     "apply for a financing (申请): hold balance on its documents",
     "\n  --id N                the bank's own number of the financing; again with the same content it is harmless\n"
     "  --enterprise ID       the applicant (申请企业): id, name or USCC (at a hub: id or USCC)\n"
     "  --product P           the kind of business (融资产品), a word of the bank's own; rules ratio_bp.product.P may limit it\n"
     "  --doc KIND:NUMBER[@ISSUER][/CUR][=ALLOCATED]   again for each document; the parts add up to the amount, or are all left "
     "out\n"
     "  --allow-partial       take the documents that pass; else all or nothing\n"
     "  --file REQUESTS.csv   id,enterprise,product,amount,currency,kind,number,issuer,allocated (and total, doc_currency);\n"
     "                        consecutive lines with one id are one financing\n"
     "\nexample:\n  kanhe finance apply --as 11 --id 1 --enterprise 101 --product export_receivable --amount 1000.00 --currency "
     "USD \\\n"
     "        --doc export_declaration:310120260123456789\n"},
    EVENT("accept", "the bank takes the application in (受理): the hold becomes firm"),
    EVENT("approve", "the bank approves (审核)"),
    EVENT("reject", "the bank refuses (拒绝): the hold is released"),
    EVENT("withdraw", "the application is taken back (撤回)"),
    EVENT("disburse", "the loan is paid out (放款登记): held becomes used"),
    EVENT("repay", "the loan is paid back (还款登记)"),
    EVENT("reverse", "a disbursement is undone before any repayment (放款冲正)"),
    {"finance events", "--as= --file=", command_finance_events, false, "finance events --as BANK --file EVENTS.csv",
     "many events from a file", "\nEVENTS.csv: id,event,amount,source,reason (and expect)\n"},
    {"finance show", "--as=", command_finance_show, false, "finance show ID [--as PARTY]",
     "one financing (the operator may say BANK:ID)", ""},
    {"finance list", "--as= --state=", command_finance_list, false, "finance list [--as PARTY] [--state S]",
     "financings, all or of one state", ""},
    {"grant add", "--as= --enterprise= --id= --bank= --scope= --from= --until=", command_grant_add, false,
     "grant add --as ENTERPRISE --id N --bank BANK --scope documents,credit [--from D] --until D",
     "let a bank look at an enterprise for a time (授权查证)",
     "\n  --as ENTERPRISE   the enterprise (企业) whose consent it is; without it the operator, for --enterprise E\n"
     "  --id N            the enterprise's own number of the grant; again with the same content it is harmless\n"
     "  --bank BANK       who may look (被授权银行)\n"
     "  --scope WORDS     documents 单证: numbers, status, balances; credit 信用: sums over all banks, none of them named\n"
     "  --from D, --until D   dates (UTC): from the beginning of the one to the end of the other (有效期)\n"
     "\nexample:\n  kanhe grant add --as 101 --id 1 --bank 11 --scope credit --until 2026-12-31\n"},
    {"grant revoke", "--as= --enterprise=", command_grant_revoke, false, "grant revoke ID --as ENTERPRISE",
     "take a grant back (撤销授权); harmless twice", ""},
    {"grant list", "--as= --attested", command_grant_list, false, "grant list [--as PARTY]",
     "grants (授权): an enterprise's own, or those that a bank was given", ""},
    {"grant lookups", "--as= --attested", command_grant_lookups, false, "grant lookups [--as ENTERPRISE]",
     "what banks looked up under an enterprise's grants (查询记录)", ""},
    {"credit", "--as= --grant= --scope= --after= --limit= --attested", command_credit, false,
     "credit ENTERPRISE --as BANK --grant N [--scope credit|documents] [--after DOCUMENT] [--limit N]",
     "an enterprise's credit record or documents, under its grant (信用记录)",
     "\n  --grant N         the enterprise's number of the grant; the regulator and the enterprise itself need none\n"
     "  --scope S         credit 信用: a line a currency and state, over all banks; documents 单证: as `balance` shows them\n"
     "  --limit N         documents: at most N of them (1000); --after DOCUMENT goes on behind the last one\n"
     "\neach look-up is filed, and the enterprise sees it (kanhe grant lookups)\n"
     "\nexample:\n  kanhe credit 101 --as 11 --grant 1\n"},
    {"risk add", "--as= --category=", command_risk_add, false, "risk add SUBJECT --as BANK --category C",
     "put a subject on the shared risk list (风险名单)", RISK_HELP},
    {"risk remove", "--as= --category= --of=", command_risk_remove, false,
     "risk remove SUBJECT [--as BANK] --category C [--of BANK]", "take one's contribution back (撤销名单)",
     RISK_HELP "  --of BANK         the operator: whose contribution; everybody's when not said\n"},
    {"risk ask", "--as=", command_risk_ask, false, "risk ask SUBJECT... --as BANK",
     "which of these stand on the risk list (名单查询)",
     "\nup to 256 subjects; answered with categories, never with who contributed. A bank's questions are counted by subject:\n"
     "`risk_free_queries`, and `risk_queries_per_entry` more for each contribution that stands (kanhe rule list).\n"
     "\nexample:\n  kanhe risk ask 91350211M000100Y46 6222021234567890 --as 11\n"},
    {"risk account", "--as= --attested", command_risk_account, false, "risk account [--as BANK]",
     "what a bank contributed, asked and may ask (名单贡献)", ""},
    {"stats", "", command_stats, false, "stats", "counts and sizes", ""},
    {"audit", "--height=", command_audit, false, "audit [--height H]", "replay the whole log and prove every outcome (审计)",
     "\nprints the digest of the outcome chain: keep it elsewhere, it shows if the log's end was cut off.\n"
     "\nof a cluster's node: the order's digest, the same on every node, now or as of height H; and what hubs attested of the "
     "state.\n"},
    {"prove", "--as= -o=", command_prove, false, "prove FINANCING [-o RECEIPT.json]",
     "a receipt that proves a financing to anybody (存证凭据)",
     "\n  FINANCING         the bank's own number; asked of a cluster's node (--connect)\n"
     "  -o RECEIPT.json   else standard output\n"
     "\nexample:\n  kanhe prove 1 -o receipt.json && kanhe check receipt.json --genesis genesis.json\n"},
    {"snapshot", "", command_snapshot, false, "snapshot", "write an image of the state now (快照)", ""},
    {"backup", "--no-audit", command_backup, false, "backup TO [--no-audit]",
     "a copy of the data directory, also while it is served (备份)",
     "\n  TO           a directory that is not there yet, or is empty; best on another disk or machine\n"
     "  --no-audit   the copy alone: it is a backup when `kanhe --data TO snapshot && kanhe --data TO audit` says so, elsewhere\n"
     "\nTO is a data directory with all that was acknowledged before it began. Nothing in the directory is changed. The copy is\n"
     "audited, which takes as much memory as the directory does: exit status 0 says that it is a backup; its digests are those "
     "to\n"
     "keep elsewhere. TO is as secret as the directory.\n"
     "\nexample:\n  kanhe --data /var/lib/kanhe backup /backup/monday\n"},
    {"checkpoint", "-o=", command_checkpoint, false, "checkpoint -o FILE",
     "all that the directory holds, without its log, into a file (检查点)",
     "\nthe state and every outcome up to now: `kanhe init --from FILE` makes a directory of it, here or on another machine, "
     "that\n"
     "answers the same, under a secret of its own, and whose log begins there. It holds every party's business: mode 0600.\n"
     "The digests that it prints are those of `audit`. Of a directory of this machine, while it is served too.\n"
     "\nexample:\n  kanhe --data OLD checkpoint -o c && kanhe --data NEW init --from c\n"},
    {"gen", "--count= --seed= -o=", command_gen, true, "gen declarations|invoices|requests --count N --seed S [-o FILE]",
     "make up sound, distinct lines to try with",
     "\n`requests` finance the `declarations` of the same count and seed; `verify` reads the other two.\n"
     "\nexample:\n  kanhe gen declarations --count 500 --seed 7 -o d.csv\n"},
    {"check", "--genesis=", command_check, true, "check RECEIPT --genesis GENESIS",
     "check a receipt that proves, offline (验证凭据)",
     "\n  --genesis GENESIS   the cluster's genesis.json: all that is trusted\n"
     "\nNothing else is read, no network is asked. Exit status 0: proven; 1: not proven, with the step that failed.\n"
     "\nexample:\n  kanhe check receipt.json --genesis genesis.json\n"},
    CHANGE(
        "member", "--id= --role= --name= --uscc= --sender= --ack= --attest= --box= --consensus= --status=",
        "--id N --role regulator|bank|source|hub --name TEXT [--uscc CODE] [--sender HEX] [--ack HEX] [--attest HEX] [--box HEX] "
        "[--consensus HEX] [--status active|frozen|expelled]",
        "officers: a member, new or with other keys or status (成员变更)",
        "\nAll of the record is said: what is left out has no key. An expelled member stays expelled.\n"),
    CHANGE("validator", "--member= --power=", "--member N --power 0|1", "officers: who votes (共识节点变更)", ""),
    CHANGE("epoch", "--group=", "--group HEX", "officers: the hubs' next key (密钥轮换)", ""),
    CHANGE("rule", "--name= --value=", "--name NAME --value VALUE", "officers: a rule (规则变更)", ""),
    CHANGE("rate", "--from= --to= --value= --date= --source=", "--from CUR --to CUR --value V --date D --source TEXT",
           "officers: an exchange rate (汇率变更)", ""),
    CHANGE("party", "--id= --status=", "--id N --status frozen|active", "officers: freeze a member, or lift it (冻结成员)", ""),
    CHANGE("lost", "--digest=", "--digest HEX", "officers: an ordered body that nobody has (丢失批次)", ""),
    CHANGE("version", "--value= --from=", "--value VERSION [--from HEIGHT]",
           "officers: the app version from a height on (程序版本切换)",
           "\nNodes whose kanhed does not know it stop at that height, 10 blocks ahead at the least, and go on when they have a "
           "newer one.\n"
           "With the version in force and no --from: one that was ordered and has not begun is withdrawn.\n"),
    CHANGE("officers", "--needed= --officer-key=*", "--needed K --officer-key HEX ...", "officers: who they are (变更审批人)",
           ""),
    {"change sign", "--officer= -o=", command_change_sign, true, "change sign FILE --officer N --key KEYFILE [-o FILE]",
     "officers: sign a change (签署变更); no node is asked",
     "\n  --officer N     the officer's place among the keys that the chain names, from 1\n"
     "  --key KEYFILE   the officer's key: 64 hexadecimal digits, mode 0600\n  -o FILE         where it goes; else the file "
     "itself\n"},
    {"change submit", "", command_change_submit, true, "change submit FILE",
     "hand a signed change to a node (提交变更): answered when it is ordered",
     "\nAny member's certificate will do: the officers' signatures count. As many as are needed, neither more nor fewer.\n"},
};
const size_t command_cnt = sizeof commands / sizeof commands[0];
