// A pattern becomes a tree, the tree a program, and the program runs over a
// text in all its states at once (Thompson, "Regular expression search
// algorithm", CACM 11(6), 1968; Cox, swtch.com/~rsc/regexp/regexp2.html).
#include "Regex.h"
#include "Text.h"

enum { DEEPEST = 200, MOST_REPEATS = 1000, MOST_CODE = 20000 };

typedef enum kind { // of nodes, and the first ones also of instructions
  CHARACTER,        // a: the character, b: whether case is ignored
  ANY,              // a: whether it may be a newline
  CLASS,            // a: first range, b: CLASS_* and 4 * number of ranges
  ASSERTION,        // a: an assertion
  EMPTY,
  SEQUENCE,     // a: first child
  ALTERNATIVES, // a: first child
  REPEAT,       // a: child, least, most (-1: no limit)
  SPLIT,        // on to a and to b
  JUMP,         // on to a
  MATCH
} kind;

typedef enum assertion {
  TEXT_START,
  TEXT_END,
  LINE_START,
  LINE_END,
  WORD_EDGE,
  NO_WORD_EDGE
} assertion;

enum { CLASS_FOLD = 1, CLASS_NEGATED = 2 };
enum { FLAG_I = 1, FLAG_M = 2, FLAG_S = 4 };

typedef struct node {
  int32_t kind, a, b, least, most, next;
} node;

typedef struct range {
  uint32_t first, last;
} range;

typedef struct instruction {
  int32_t kind, a, b;
} instruction;

struct fulgur_regex {
  range *ranges;
  instruction *code;
  int32_t length, limit;             ///< of the code
  int32_t *marks, *lists[2], *stack; ///< [limit] each
  int32_t counts[2], generation;
  int32_t accepts; ///< is MATCH in the newest list?
  node *nodes;
  int32_t n_nodes, n_ranges;
};

typedef struct parser {
  fulgur_regex *regex;
  const char *text;
  size_t at, bytes;
  int32_t flags, depth;
  const char *problem;
} parser;

static int32_t most_code(const char *pattern, size_t bytes) {
  size_t plain = 4 * bytes + 8;
  return plain > MOST_CODE || memchr(pattern, '{', bytes) ? MOST_CODE
                                                          : (int32_t)plain;
}

// What one character of a pattern makes at most: a node for itself, its
// sequence and its alternative; and, of \W in a class, 5 ranges.
static size_t most_nodes(size_t bytes) { return 4 * bytes + 8; }
static size_t most_ranges(size_t bytes) { return 5 * bytes + 8; }

size_t fulgur__regex_bytes(const char *pattern, size_t bytes) {
  size_t code = (size_t)most_code(pattern, bytes);
  return sizeof(fulgur_regex) + most_nodes(bytes) * sizeof(node) +
         most_ranges(bytes) * sizeof(range) +
         code * (sizeof(instruction) + 4 * sizeof(int32_t));
}

// ---- the tree ----

static int32_t fail(parser *p, const char *problem) {
  if (!p->problem)
    p->problem = problem;
  p->at = p->bytes; // nothing follows
  return 0;
}

static int32_t new_node(parser *p, kind kind, int32_t a, int32_t b) {
  int32_t index = p->regex->n_nodes++;
  p->regex->nodes[index] = (node){(int32_t)kind, a, b, 0, 0, -1};
  return index;
}

static int more(const parser *p) { return p->at < p->bytes; }

static int accept(parser *p, const char *word) {
  size_t bytes = strlen(word);
  if (p->bytes - p->at < bytes || memcmp(p->text + p->at, word, bytes) != 0)
    return 0;
  p->at += bytes;
  return 1;
}

static uint32_t next_character(parser *p) {
  size_t used;
  uint32_t c = fulgur__decode(p->text + p->at, p->bytes - p->at, &used);
  p->at += used;
  return c;
}

static void add_range(parser *p, uint32_t first, uint32_t last) {
  if (first <= last)
    p->regex->ranges[p->regex->n_ranges++] = (range){first, last};
}

/// Named classes: their ranges as pairs of characters.
static const struct {
  const char *name, *pairs;
} classes[] = {{"d", "09"},           {"s", "\t\n\f\r  "},
               {"w", "09AZ__az"},     {"alnum", "09AZaz"},
               {"alpha", "AZaz"},     {"ascii", "\x01\x7F"},
               {"blank", "\t\t  "},   {"cntrl", "\x01\x1F\x7F\x7F"},
               {"digit", "09"},       {"graph", "!~"},
               {"lower", "az"},       {"print", " ~"},
               {"punct", "!/:@[`{~"}, {"space", "\t\r  "},
               {"upper", "AZ"},       {"word", "09AZ__az"},
               {"xdigit", "09AFaf"}};

/// Adds the class of this name, or what is not in it.
static int add_class(parser *p, const char *name, size_t bytes, int negated) {
  for (size_t i = 0; i < sizeof classes / sizeof *classes; ++i) {
    if (strlen(classes[i].name) != bytes ||
        memcmp(classes[i].name, name, bytes) != 0)
      continue;
    uint32_t from = 0;
    for (const char *pair = classes[i].pairs; *pair; pair += 2) {
      uint32_t first = (uint32_t)pair[0], last = (uint32_t)pair[1];
      if (first == 1) // U+0000 cannot stand in the table
        first = 0;
      if (!negated)
        add_range(p, first, last);
      else if (first > 0)
        add_range(p, from, first - 1);
      from = last + 1;
    }
    if (negated)
      add_range(p, from, 0x10FFFF);
    return 1;
  }
  return 0;
}

static int32_t digit(char c, int32_t base) {
  int32_t value = c >= '0' && c <= '9'   ? c - '0'
                  : c >= 'a' && c <= 'f' ? c - 'a' + 10
                  : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                         : 99;
  return value < base ? value : -1;
}

static uint32_t read_hexadecimal(parser *p) {
  uint32_t value = 0;
  int braces = accept(p, "{"), digits = 0;
  while (more(p) && (braces || digits < 2) && digit(p->text[p->at], 16) >= 0) {
    value = value * 16 + (uint32_t)digit(p->text[p->at++], 16);
    if (++digits > 8 || value > 0x10FFFF)
      return (uint32_t)fail(p, "a hexadecimal escape is too large");
  }
  if (digits == 0 || (braces ? !accept(p, "}") : digits < 2))
    return (uint32_t)fail(p, "a hexadecimal escape is not complete");
  return value;
}

/// What follows a backslash and stands for one character.
static uint32_t read_escape(parser *p) {
  if (!more(p))
    return (uint32_t)fail(p, "it ends with a backslash");
  char c = p->text[p->at];
  static const char letters[] = "aftnrv", meanings[] = "\a\f\t\n\r\v";
  const char *letter = strchr(letters, c);
  if (c && letter) {
    ++p->at;
    return (uint32_t)meanings[letter - letters];
  }
  if (c == 'x') {
    ++p->at;
    return read_hexadecimal(p);
  }
  if (digit(c, 10) >= 0) { // \0, \12, \123; \1 would refer to a group
    uint32_t value = 0;
    int digits = 0;
    while (more(p) && digits < 3 && digit(p->text[p->at], 8) >= 0) {
      value = value * 8 + (uint32_t)digit(p->text[p->at++], 8);
      ++digits;
    }
    if (digits == 0 || (digits == 1 && c != '0'))
      return (uint32_t)fail(p, "references to groups are not possible");
    return value;
  }
  if (c == 'p' || c == 'P')
    return (uint32_t)fail(p, "classes of Unicode properties are not supported");
  if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'))
    return (uint32_t)fail(p, "an escape is not known");
  return next_character(p);
}

/// \d, \s, \w or their opposites at a backslash; adds its ranges.
static int accept_class_escape(parser *p) {
  if (p->bytes - p->at < 2 || p->text[p->at] != '\\')
    return 0;
  char c = p->text[p->at + 1], lower = (char)(c | 32);
  if (!(lower == 'd' || lower == 's' || lower == 'w'))
    return 0;
  p->at += 2;
  add_class(p, &lower, 1, c != lower);
  return 1;
}

/// [:alpha:] or [:^alpha:] in a class.
static int accept_named_class(parser *p) {
  if (!accept(p, "[:"))
    return 0;
  int negated = accept(p, "^");
  size_t start = p->at;
  while (more(p) && p->text[p->at] != ':')
    ++p->at;
  size_t bytes = p->at - start;
  if (!accept(p, ":]") || !add_class(p, p->text + start, bytes, negated))
    fail(p, "a named class is not known");
  return 1;
}

static uint32_t read_class_character(parser *p) {
  return accept(p, "\\") ? read_escape(p) : next_character(p);
}

/// A class after its [.
static int32_t read_class(parser *p) {
  int32_t start = p->regex->n_ranges;
  int32_t marks = p->flags & FLAG_I ? CLASS_FOLD : 0;
  if (accept(p, "^"))
    marks |= CLASS_NEGATED;
  for (int first = 1; first || !accept(p, "]"); first = 0) {
    if (!more(p))
      return fail(p, "a class has no ]");
    if (accept_class_escape(p) || accept_named_class(p))
      continue;
    uint32_t low = read_class_character(p), high = low;
    if (p->bytes - p->at >= 2 && p->text[p->at] == '-' &&
        p->text[p->at + 1] != ']') {
      ++p->at;
      high = read_class_character(p);
    }
    if (high < low)
      return fail(p, "a range of a class is empty");
    add_range(p, low, high);
    if (p->problem)
      return 0;
  }
  int32_t count = p->regex->n_ranges - start;
  return new_node(p, CLASS, start, count * 4 + marks);
}

static int32_t read_alternatives(parser *p);

/// Flags such as i, -s or i:; are they for a group (that ends with :)?
static int read_flags(parser *p) {
  int on = 1;
  while (more(p)) {
    char c = p->text[p->at++];
    int32_t flag = c == 'i'   ? FLAG_I
                   : c == 'm' ? FLAG_M
                   : c == 's' ? FLAG_S
                              : 0;
    if (c == ')' || c == ':')
      return c == ':';
    if (c == '-')
      on = 0;
    else if (!flag && c != 'U') // what is greedy makes no difference here
      break;
    p->flags = on ? p->flags | flag : p->flags & ~flag;
  }
  return fail(p, "a group's flags are not known");
}

/// A group after its (.
static int32_t read_group(parser *p) {
  int32_t outer = p->flags;
  if (accept(p, "?P<") || (p->bytes - p->at >= 3 && accept(p, "?<") &&
                           p->text[p->at] != '=' && p->text[p->at] != '!')) {
    while (more(p) && p->text[p->at] != '>')
      ++p->at;
    if (!accept(p, ">"))
      return fail(p, "a group's name does not end");
  } else if (accept(p, "?") && !read_flags(p)) {
    return p->problem ? 0 : new_node(p, EMPTY, 0, 0); // flags stay as they are
  }
  if (++p->depth > DEEPEST)
    return fail(p, "groups are too deep");
  int32_t inside = read_alternatives(p);
  --p->depth;
  p->flags = outer;
  if (!accept(p, ")"))
    return fail(p, "a group has no )");
  return inside;
}

/// Nodes that follow one another; -1 when there are none.
typedef struct {
  int32_t first, last;
} node_list;

static void append(parser *p, node_list *list, int32_t node) {
  if (list->last < 0)
    list->first = node;
  else
    p->regex->nodes[list->last].next = node;
  list->last = node;
}

static int32_t new_sequence(parser *p, node_list list) {
  return list.first < 0 ? new_node(p, EMPTY, 0, 0)
                        : new_node(p, SEQUENCE, list.first, 0);
}

/// The text up to \E, or to the end.
static int32_t read_quotation(parser *p) {
  node_list children = {-1, -1};
  while (more(p) && !accept(p, "\\E"))
    append(
        p, &children,
        new_node(p, CHARACTER, (int32_t)next_character(p), p->flags & FLAG_I));
  return new_sequence(p, children);
}

static int32_t read_atom(parser *p) {
  int multiline = (p->flags & FLAG_M) != 0;
  if (accept(p, "("))
    return read_group(p);
  if (accept(p, "["))
    return read_class(p);
  if (accept(p, "."))
    return new_node(p, ANY, (p->flags & FLAG_S) != 0, 0);
  if (accept(p, "^"))
    return new_node(p, ASSERTION, multiline ? LINE_START : TEXT_START, 0);
  if (accept(p, "$"))
    return new_node(p, ASSERTION, multiline ? LINE_END : TEXT_END, 0);
  if (accept(p, "\\A"))
    return new_node(p, ASSERTION, TEXT_START, 0);
  if (accept(p, "\\z"))
    return new_node(p, ASSERTION, TEXT_END, 0);
  if (accept(p, "\\b"))
    return new_node(p, ASSERTION, WORD_EDGE, 0);
  if (accept(p, "\\B"))
    return new_node(p, ASSERTION, NO_WORD_EDGE, 0);
  if (accept(p, "\\Q"))
    return read_quotation(p);
  int32_t start = p->regex->n_ranges;
  if (accept_class_escape(p))
    return new_node(p, CLASS, start,
                    (p->regex->n_ranges - start) * 4 +
                        (p->flags & FLAG_I ? CLASS_FOLD : 0));
  uint32_t c = accept(p, "\\") ? read_escape(p) : next_character(p);
  return new_node(p, CHARACTER, (int32_t)c, p->flags & FLAG_I);
}

/// A number of a repetition; -1 when there is none.
static int32_t read_count(parser *p) {
  int32_t value = -1;
  while (more(p) && digit(p->text[p->at], 10) >= 0) {
    value = (value < 0 ? 0 : value) * 10 + digit(p->text[p->at++], 10);
    if (value > MOST_REPEATS)
      fail(p, "a repetition has more than 1000 turns");
  }
  return value;
}

/// {n}, {n,} or {n,m}; anything else after { is text.
static int accept_counts(parser *p, int32_t *least, int32_t *most) {
  size_t start = p->at;
  if (accept(p, "{") && (*least = read_count(p)) >= 0) {
    *most = *least;
    if (accept(p, ","))
      *most = read_count(p);
    if (accept(p, "}") || p->problem) {
      if (*most >= 0 && *most < *least)
        fail(p, "a repetition has more turns at least than at most");
      return 1;
    }
  }
  p->at = start;
  return 0;
}

static int accept_repetition(parser *p, int32_t *least, int32_t *most) {
  *least = 0;
  *most = -1;
  if (accept(p, "*"))
    return 1;
  if (accept(p, "+"))
    return *least = 1;
  if (accept(p, "?"))
    return *most = 1;
  return accept_counts(p, least, most);
}

static int32_t read_sequence(parser *p) {
  node_list children = {-1, -1};
  int32_t least, most;
  while (more(p) && p->text[p->at] != '|' && p->text[p->at] != ')') {
    size_t start = p->at;
    if (accept_repetition(p, &least, &most))
      return fail(p, "there is nothing to repeat");
    p->at = start;
    int32_t child = read_atom(p);
    if (!p->problem && accept_repetition(p, &least, &most)) {
      accept(p, "?"); // as few as possible: the same when all must match
      child = new_node(p, REPEAT, child, 0);
      p->regex->nodes[child].least = least;
      p->regex->nodes[child].most = most;
    }
    if (p->problem)
      return 0;
    append(p, &children, child);
  }
  return new_sequence(p, children);
}

static int32_t read_alternatives(parser *p) {
  int32_t first = read_sequence(p), last = first;
  while (!p->problem && accept(p, "|")) {
    int32_t other = read_sequence(p);
    p->regex->nodes[last].next = other;
    last = other;
  }
  return p->problem ? 0 : new_node(p, ALTERNATIVES, first, 0);
}

// ---- the program ----

/// Appends an instruction; beyond the limit the last one is written over.
static int32_t emit(parser *p, kind kind, int32_t a, int32_t b) {
  fulgur_regex *regex = p->regex;
  if (regex->length == regex->limit) {
    fail(p, "it is too large");
    --regex->length;
  }
  regex->code[regex->length] = (instruction){(int32_t)kind, a, b};
  return regex->length++;
}

static void emit_node(parser *p, int32_t index);

static void emit_repeat(parser *p, const node *repeat) {
  instruction *code = p->regex->code;
  int32_t start = p->regex->length;
  for (int32_t i = 0; i < repeat->least && !p->problem; ++i) {
    start = p->regex->length;
    emit_node(p, repeat->a);
  }
  if (repeat->most < 0 && repeat->least > 0) { // the last one again and again
    int32_t split = emit(p, SPLIT, start, 0);
    code[split].b = p->regex->length;
    return;
  }
  if (repeat->most < 0) {
    int32_t split = emit(p, SPLIT, 0, 0);
    code[split].a = p->regex->length;
    emit_node(p, repeat->a);
    emit(p, JUMP, split, 0);
    code[split].b = p->regex->length;
    return;
  }
  int32_t skips = -1; // chained by their b until the end is known
  for (int32_t i = repeat->least; i < repeat->most && !p->problem; ++i) {
    skips = emit(p, SPLIT, p->regex->length + 1, skips);
    emit_node(p, repeat->a);
  }
  while (skips >= 0 && !p->problem) {
    int32_t before = code[skips].b;
    code[skips].b = p->regex->length;
    skips = before;
  }
}

static void emit_alternatives(parser *p, int32_t child) {
  instruction *code = p->regex->code;
  int32_t jumps = -1;
  for (; child >= 0 && !p->problem; child = p->regex->nodes[child].next) {
    int last = p->regex->nodes[child].next < 0;
    int32_t split = last ? -1 : emit(p, SPLIT, p->regex->length + 1, 0);
    emit_node(p, child);
    if (last)
      break;
    jumps = emit(p, JUMP, jumps, 0);
    code[split].b = p->regex->length;
  }
  while (jumps >= 0 && !p->problem) {
    int32_t before = code[jumps].a;
    code[jumps].a = p->regex->length;
    jumps = before;
  }
}

/// Appends the code of a node. No deeper than groups are.
static void emit_node(parser *p, int32_t index) {
  const node *node = &p->regex->nodes[index];
  if (p->problem)
    return;
  switch ((kind)node->kind) {
  case EMPTY:
    return;
  case SEQUENCE:
    for (int32_t child = node->a; child >= 0;
         child = p->regex->nodes[child].next)
      emit_node(p, child);
    return;
  case ALTERNATIVES:
    emit_alternatives(p, node->a);
    return;
  case REPEAT:
    emit_repeat(p, node);
    return;
  default:
    emit(p, (kind)node->kind, node->a, node->b);
  }
}

fulgur_regex *fulgur__regex_compile(const char *pattern, size_t bytes,
                                    void *memory, const char **problem) {
  fulgur_regex *regex = memory;
  *regex = (fulgur_regex){.limit = most_code(pattern, bytes)};
  regex->nodes = (node *)(regex + 1);
  regex->ranges = (range *)(regex->nodes + most_nodes(bytes));
  regex->code = (instruction *)(regex->ranges + most_ranges(bytes));
  regex->marks = (int32_t *)(regex->code + regex->limit);
  regex->lists[0] = regex->marks + regex->limit;
  regex->lists[1] = regex->lists[0] + regex->limit;
  regex->stack = regex->lists[1] + regex->limit;
  parser p = {.regex = regex, .text = pattern, .bytes = bytes};
  int32_t root = read_alternatives(&p);
  if (!p.problem && more(&p))
    fail(&p, "a ) has no group");
  emit_node(&p, root);
  emit(&p, MATCH, 0, 0);
  *problem = p.problem;
  return p.problem ? NULL : regex;
}

// ---- the run ----

static int is_word(int64_t c) {
  return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || c == '_' ||
         (c >= 'a' && c <= 'z');
}

/// Does an assertion hold between two characters? -1 is the text's end.
static int holds(int32_t kind, int64_t before, int64_t after) {
  switch ((assertion)kind) {
  case TEXT_START:
    return before < 0;
  case TEXT_END:
    return after < 0;
  case LINE_START:
    return before < 0 || before == '\n';
  case LINE_END:
    return after < 0 || after == '\n';
  case WORD_EDGE:
    return is_word(before) != is_word(after);
  case NO_WORD_EDGE:
    return is_word(before) == is_word(after);
  }
  return 0;
}

static int in_class(const range *ranges, int32_t count, uint32_t c) {
  for (int32_t i = 0; i < count; ++i)
    if (c >= ranges[i].first && c <= ranges[i].last)
      return 1;
  return 0;
}

static int consumes(const fulgur_regex *regex, const instruction *at,
                    uint32_t c) {
  if (at->kind == ANY)
    return at->a || c != '\n';
  if (at->kind == CHARACTER)
    return c == (uint32_t)at->a ||
           (at->b && fulgur__lower(c) == fulgur__lower((uint32_t)at->a));
  const range *ranges = regex->ranges + at->a;
  int32_t count = at->b / 4;
  int inside =
      in_class(ranges, count, c) ||
      (at->b & CLASS_FOLD && (in_class(ranges, count, fulgur__lower(c)) ||
                              in_class(ranges, count, fulgur__upper(c))));
  return inside != ((at->b & CLASS_NEGATED) != 0);
}

static void push(fulgur_regex *regex, int32_t *depth, int32_t at) {
  if (regex->marks[at] == regex->generation)
    return;
  regex->marks[at] = regex->generation;
  regex->stack[(*depth)++] = at;
}

/// Adds to a list what can be reached from `start` without a character.
static void follow(fulgur_regex *regex, int list, int32_t start, int64_t before,
                   int64_t after) {
  int32_t depth = 0;
  push(regex, &depth, start);
  while (depth > 0) {
    int32_t at = regex->stack[--depth];
    const instruction *code = &regex->code[at];
    switch ((kind)code->kind) {
    case SPLIT:
      push(regex, &depth, code->b);
      push(regex, &depth, code->a);
      break;
    case JUMP:
      push(regex, &depth, code->a);
      break;
    case ASSERTION:
      if (holds(code->a, before, after))
        push(regex, &depth, at + 1);
      break;
    case MATCH:
      regex->accepts = 1;
      break;
    default:
      regex->lists[list][regex->counts[list]++] = at;
    }
  }
}

int fulgur__regex_match(fulgur_regex *regex, const char *text, size_t bytes) {
  memset(regex->marks, 0, (size_t)regex->length * sizeof *regex->marks);
  regex->generation = 1;
  regex->counts[0] = regex->accepts = 0;
  size_t used = 0;
  int64_t c = bytes ? (int64_t)fulgur__decode(text, bytes, &used) : -1;
  follow(regex, 0, 0, -1, c);
  int list = 0;
  for (size_t at = used; c >= 0; at += used, list = !list) {
    int64_t after = -1;
    if (at < bytes)
      after = fulgur__decode(text + at, bytes - at, &used);
    regex->counts[!list] = regex->accepts = 0;
    if (++regex->generation == INT32_MAX) { // marks of old generations go
      memset(regex->marks, 0, (size_t)regex->length * sizeof *regex->marks);
      regex->generation = 1;
    }
    for (int32_t i = 0; i < regex->counts[list]; ++i) {
      int32_t state = regex->lists[list][i];
      if (consumes(regex, &regex->code[state], (uint32_t)c))
        follow(regex, !list, state + 1, c, after);
    }
    c = after;
  }
  return regex->accepts;
}
