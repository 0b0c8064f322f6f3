/* table: rows for people: aligned columns that know that a Chinese character is two columns wide. The first rows decide the
 * widths; what is single (statistics, an audit) stands as a list of names and values. */
#include "print.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COLUMNS_MAX 24
#define HELD_MAX 100 /* rows looked at before the first is printed */
#define CELL_MAX 240

typedef struct line {
    char **cells;
    char *more; /* further text behind the columns, and lines below */
} line;

static struct {
    char what[32];
    char *names[COLUMNS_MAX];
    bool right[COLUMNS_MAX];
    uint32_t widths[COLUMNS_MAX], column_cnt;
    line held[HELD_MAX];
    uint32_t held_cnt;
    bool begun, headed;
} table;

/* What the fields are called in Chinese, for the headings. */
static const char *const terms[][2] = {
    {"kind", "种类"},      {"number", "号码"},    {"issuer", "开具方"},   {"owner", "所有人"},    {"status", "状态"},
    {"date", "日期"},      {"version", "版本"},   {"currency", "币种"},   {"base", "总额"},       {"cap", "上限"},
    {"held", "冻结"},      {"used", "已用"},      {"consumed", "已核销"}, {"free", "可融资"},     {"line", "行"},
    {"code", "代码"},      {"name", "结果"},      {"mismatch", "不符"},   {"bank", "银行"},       {"state", "状态"},
    {"amount", "金额"},    {"allocated", "分配"}, {"height", "高度"},     {"documents", "单证"},  {"alert", "预警"},
    {"financing", "融资"}, {"time", "时间"},      {"operation", "操作"},  {"party", "主体"},      {"file", "文件"},
    {"format", "格式"},    {"read", "读入"},      {"stored", "入库"},     {"unchanged", "未变"},  {"amended", "更正"},
    {"revoked", "撤销"},   {"refused", "拒绝"},   {"why", "原因"},        {"role", "角色"},       {"value", "值"},
    {"rate", "汇率"},      {"source", "来源"},    {"enterprise", "企业"}, {"product", "产品"},    {"deadline", "期限"},
    {"as_of", "截至"},     {"grant", "授权"},     {"scope", "范围"},      {"from", "起"},         {"until", "止"},
    {"count", "笔数"},     {"repaid", "已还"},    {"subject", "主体"},    {"listed", "在册"},     {"categories", "类别"},
    {"category", "类别"},  {"asked", "已查"},     {"allowed", "可查"},    {"contributed", "贡献"}};

static const char *term(const char *name)
{
    for (size_t i = 0; i < sizeof terms / sizeof terms[0]; i++)
        if (strcmp(terms[i][0], name) == 0) return terms[i][1];
    return NULL;
}

/* width counts the columns of a text on the screen: East Asian wide characters take two (Unicode TR 11). */
static uint32_t width(const char *text)
{
    uint32_t columns = 0;
    for (const unsigned char *p = (const unsigned char *)text; *p != '\0'; p++) {
        if ((*p & 0xC0) == 0x80) continue;
        uint32_t c = *p;
        if (c >= 0xF0) c = 0x20000;
        else if (c >= 0xE0 && p[1] != 0 && p[2] != 0) c = (c & 15u) << 12 | (p[1] & 63u) << 6 | (p[2] & 63u);
        bool wide = (c >= 0x1100 && c <= 0x115F) || (c >= 0x2E80 && c <= 0xA4CF) || (c >= 0xAC00 && c <= 0xD7A3) ||
                    (c >= 0xF900 && c <= 0xFAFF) || (c >= 0xFE30 && c <= 0xFE6F) || (c >= 0xFF00 && c <= 0xFF60) ||
                    (c >= 0xFFE0 && c <= 0xFFE6) || c >= 0x20000;
        columns += wide ? 2 : 1;
    }
    return columns;
}

static void put(const char *text) { print_text(text, strlen(text)); }
static void pad(uint32_t n)
{
    for (; n > 0; n--) print_text(" ", 1);
}

static void cell_of(const kh_result_field *f, char cell[CELL_MAX])
{
    switch (f->type) {
    case KH_FIELD_TEXT:
    case KH_FIELD_WORDS: (void)snprintf(cell, CELL_MAX, "%s", f->text[0] != '\0' ? f->text : "-"); break;
    case KH_FIELD_NUMBER: (void)snprintf(cell, CELL_MAX, "%llu", (unsigned long long)f->number); break;
    case KH_FIELD_BOOL: (void)snprintf(cell, CELL_MAX, "%s", f->number != 0 ? "yes" : "no"); break;
    case KH_FIELD_ROWS: (void)snprintf(cell, CELL_MAX, "%u", f->row_cnt); break;
    case KH_FIELD_NULL: (void)snprintf(cell, CELL_MAX, "-"); break;
    }
    for (unsigned char *p = (unsigned char *)cell; *p != '\0'; p++) { /* nothing in the data may steer the terminal */
        bool beyond_ascii = p[0] == 0xC2 && p[1] >= 0x80 && p[1] < 0xA0;
        if (beyond_ascii) p[1] = ' ';
        if (*p < 0x20 || *p == 0x7f || beyond_ascii) *p = ' ';
    }
}

static bool is_amount(const kh_result_field *f)
{
    if (f->type == KH_FIELD_NUMBER) return true;
    if (f->type != KH_FIELD_TEXT || f->text[0] == '\0') return false;
    return strspn(f->text, "0123456789.") == strlen(f->text) && strlen(f->text) < 18;
}

static char *append(char *text, const char *more)
{
    size_t n = text != NULL ? strlen(text) : 0, m = strlen(more);
    char *longer = realloc(text, n + m + 1);
    if (longer == NULL) return text;
    memcpy(longer + n, more, m + 1);
    return longer;
}

/* below adds the rows inside a row, each on its own line. */
static char *below(char *more, const kh_result_field *f)
{
    char cell[CELL_MAX];
    for (uint32_t i = 0; i < f->row_cnt; i++) {
        more = append(more, "\n    ");
        for (uint32_t k = 0; k < f->rows[i].field_cnt; k++) {
            const kh_result_field *inner = &f->rows[i].fields[k];
            if (inner->type == KH_FIELD_NULL) continue;
            cell_of(inner, cell);
            if (k > 1) {
                more = append(more, inner->name);
                more = append(more, "=");
            }
            more = append(more, cell);
            more = append(more, "  ");
        }
    }
    return more;
}

static void print_line(const line *l)
{
    for (uint32_t i = 0; i < table.column_cnt; i++) {
        uint32_t w = width(l->cells[i]), gap = table.widths[i] > w ? table.widths[i] - w : 0;
        if (i > 0) pad(2);
        if (table.right[i]) pad(gap);
        put(l->cells[i]);
        if (!table.right[i] && (i + 1 < table.column_cnt || l->more != NULL)) pad(gap);
    }
    if (l->more != NULL) {
        if (l->more[0] != '\n') pad(2);
        put(l->more);
    }
    print_line_end();
}

static void free_line(line *l)
{
    for (uint32_t i = 0; l->cells != NULL && i < table.column_cnt; i++) free(l->cells[i]);
    free(l->cells);
    free(l->more);
}

static void print_held(void)
{
    if (!table.headed) {
        for (uint32_t i = 0; i < table.column_cnt; i++) {
            const char *zh = term(table.names[i]);
            char head[100];
            (void)snprintf(head, sizeof head, "%s%s%s", table.names[i], zh != NULL ? " " : "", zh != NULL ? zh : "");
            uint32_t w = width(head);
            if (table.widths[i] < w) table.widths[i] = w;
            if (i > 0) pad(2);
            if (table.right[i]) pad(table.widths[i] - w);
            put(head);
            if (!table.right[i] && i + 1 < table.column_cnt) pad(table.widths[i] - w);
        }
        print_line_end();
        table.headed = true;
    }
    for (uint32_t i = 0; i < table.held_cnt; i++) {
        print_line(&table.held[i]);
        free_line(&table.held[i]);
    }
    table.held_cnt = 0;
}

void table_end(void)
{
    if (!table.begun) return;
    print_held();
    for (uint32_t i = 0; i < table.column_cnt; i++) free(table.names[i]);
    table.begun = table.headed = false;
    table.column_cnt = 0;
}

static void list_row(const kh_result_row *row)
{
    char cell[CELL_MAX];
    uint32_t widest = 0;
    for (uint32_t i = 0; i < row->field_cnt; i++)
        if (width(row->fields[i].name) > widest) widest = width(row->fields[i].name);
    for (uint32_t i = 0; i < row->field_cnt; i++) {
        cell_of(&row->fields[i], cell);
        put(row->fields[i].name);
        pad(widest - width(row->fields[i].name) + 2);
        put(cell);
        print_line_end();
    }
}

static void begin(const kh_result_row *row)
{
    (void)snprintf(table.what, sizeof table.what, "%s", row->what);
    table.begun = true;
    for (uint32_t i = 0; i < row->field_cnt && table.column_cnt < COLUMNS_MAX; i++) {
        char *name = strdup(row->fields[i].name);
        if (name == NULL) return;
        table.right[table.column_cnt] = is_amount(&row->fields[i]);
        table.widths[table.column_cnt] = 0;
        table.names[table.column_cnt++] = name;
    }
}

static uint32_t column_of(const char *name)
{
    for (uint32_t i = 0; i < table.column_cnt; i++)
        if (strcmp(table.names[i], name) == 0) return i;
    return COLUMNS_MAX;
}

void table_row(const kh_result_row *row)
{
    char cell[CELL_MAX];
    if (strcmp(row->what, "stats") == 0 || strcmp(row->what, "audit") == 0 || strcmp(row->what, "snapshot") == 0 ||
        strcmp(row->what, "checkpoint") == 0 || strcmp(row->what, "backup") == 0 || strcmp(row->what, "proof") == 0) {
        table_end();
        list_row(row);
        return;
    }
    if (table.begun && strcmp(table.what, row->what) != 0) table_end();
    if (!table.begun) begin(row);
    if (table.held_cnt == HELD_MAX) print_held();
    line *l = &table.held[table.held_cnt];
    *l = (line){.cells = calloc(table.column_cnt + 1, sizeof *l->cells)};
    if (l->cells == NULL) return;
    for (uint32_t i = 0; i < row->field_cnt; i++) {
        const kh_result_field *f = &row->fields[i];
        uint32_t column = column_of(f->name);
        cell_of(f, cell);
        if (column < COLUMNS_MAX && l->cells[column] == NULL) {
            l->cells[column] = strdup(cell);
            if (!table.headed && width(cell) > table.widths[column]) table.widths[column] = width(cell);
        } else if (f->type != KH_FIELD_ROWS && f->type != KH_FIELD_NULL) {
            l->more = append(l->more, f->name);
            l->more = append(l->more, "=");
            l->more = append(l->more, cell);
            l->more = append(l->more, " ");
        }
    }
    for (uint32_t i = 0; i < row->field_cnt; i++)
        if (row->fields[i].type == KH_FIELD_ROWS) l->more = below(l->more, &row->fields[i]);
    for (uint32_t i = 0; i < table.column_cnt; i++) {
        if (l->cells[i] == NULL) l->cells[i] = strdup("-");
        if (l->cells[i] == NULL) {
            free_line(l);
            return;
        }
    }
    table.held_cnt++;
    if (table.headed) print_held();
}
