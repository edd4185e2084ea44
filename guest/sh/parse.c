// Recursive descent over characters. Words are kept raw, quotes and all, and expanded when they are run.
#include "sh.h"
#include <ctype.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// ---- arena and growing text ----
struct chunk { struct chunk *next; };
struct arena *arena;

void *arena_alloc(size_t size) {
  struct chunk *c = calloc(1, sizeof *c + size);
  if (!c) { sh_error("out of memory"); exit(2); }
  c->next = arena->first;
  arena->first = c;
  return c + 1;
}

char *arena_strndup(const char *text, size_t size) {
  char *copy = arena_alloc(size + 1);
  return memcpy(copy, text, size);
}

void arena_free(struct arena *a) {
  while (a->first) {
    struct chunk *c = a->first;
    a->first = c->next;
    free(c);
  }
}

void text_add(struct text *t, char c) { text_adds(t, &c, 1); }

void text_adds(struct text *t, const char *s, size_t n) {
  if (t->size + n + 1 > t->room) {
    t->room = (t->size + n + 1) * 2;
    t->at = realloc(t->at, t->room);
    if (!t->at) { sh_error("out of memory"); exit(2); }
  }
  memcpy(t->at + t->size, s, n);
  t->size += n;
}

char *text_end(struct text *t) {
  char *copy = arena_strndup(t->at ? t->at : "", t->size);
  free(t->at);
  *t = (struct text){ 0 };
  return copy;
}

// ---- tokens ----
enum token { T_EOF, T_NEWLINE, T_WORD, T_SEMI, T_DSEMI, T_AMP, T_AND, T_PIPE, T_OR, T_LPAREN, T_RPAREN, T_REDIR };
struct pending_here { struct redir *redir; char *delimiter; struct pending_here *next; };
static struct parser {
  struct input *in;
  enum token token;
  char *word;                       // of T_WORD
  struct redir *redir;              // of T_REDIR, without its word
  struct pending_here *heres;
  jmp_buf fail;
} p;

static void syntax_error(const char *what) {
  sh_error("line %d: syntax error: %s", input_line(p.in), what);
  longjmp(p.fail, 1);
}

static int peek(void) { return input_peek(p.in); }
static int get(void) { return input_get(p.in); }

static void take(struct text *t) {
  int c = get();
  if (c < 0) { free(t->at); syntax_error("unexpected end of file"); }
  text_add(t, c);
}

static void take_single(struct text *t) {
  do take(t); while (t->at[t->size - 1] != '\'');
}

static void take_dollar(struct text *t);

static void take_double(struct text *t) {
  input_continued(p.in, 1);
  for (;;) {
    int c = peek();
    if (c == '$') { take_dollar(t); continue; }
    take(t);
    if (c == '\\') take(t);
    if (c == '"') return;
  }
}

// Takes up to the character that closes a group opened with `open`, quotes and nested groups included.
static void take_group(struct text *t, int open, int close) {
  input_continued(p.in, 1);
  for (int depth = 1; depth > 0;) {
    int c = peek();
    if (c == '$') { take_dollar(t); continue; }
    take(t);
    if (c == '\\') take(t);
    else if (c == '\'') take_single(t);
    else if (c == '"') take_double(t);
    else if (c == open) depth++;
    else if (c == close) depth--;
  }
}

static void take_dollar(struct text *t) {
  take(t);
  int c = peek();
  if (c == '(') { take(t); take_group(t, '(', ')'); }
  else if (c == '{') { take(t); take_group(t, '{', '}'); }
}

static void take_backquote(struct text *t) {
  for (;;) {
    int c = peek();
    take(t);
    if (c == '\\') take(t);
    else if (c == '`') return;
  }
}

static int ends_word(int c) { return c < 0 || strchr(" \t\n;&|<>()", c) != 0; }

static char *read_word(void) {
  struct text t = { 0 };
  while (!ends_word(peek())) {
    int c = peek();
    if (c == '$') { take_dollar(&t); continue; }
    get();
    if (c == '\\' && peek() == '\n') { get(); continue; }
    text_add(&t, c);
    if (c == '\\') take(&t);
    else if (c == '\'') take_single(&t);
    else if (c == '"') take_double(&t);
    else if (c == '`') take_backquote(&t);
  }
  return text_end(&t);
}

static void read_redir(int fd) {
  struct redir *r = arena_alloc(sizeof *r);
  int c = get(), d = peek();
  r->fd = fd >= 0 ? fd : c == '>';
  r->kind = c == '<' ? R_IN : R_OUT;
  if (d == '&') { get(); r->kind = c == '<' ? R_DUPIN : R_DUPOUT; }
  else if (c == '>' && d == '>') { get(); r->kind = R_APPEND; }
  else if (c == '>' && d == '|') { get(); r->kind = R_CLOBBER; }
  else if (c == '<' && d == '>') { get(); r->kind = R_RDWR; }
  else if (c == '<' && d == '<') {
    get();
    r->kind = R_HERE;
    if (peek() == '-') { get(); r->strip = 1; }
  }
  p.token = T_REDIR;
  p.redir = r;
}

static void read_here(struct pending_here *h) {
  struct text body = { 0 };
  input_continued(p.in, 1);
  for (;;) {
    struct text line = { 0 };
    int c;
    while ((c = get()) >= 0 && c != '\n')
      if (!(h->redir->strip && c == '\t' && line.size == 0)) text_add(&line, c);
    int at_end = c < 0 && line.size == 0;
    char *text = text_end(&line);
    if (at_end || !strcmp(text, h->delimiter)) break;
    text_adds(&body, text, strlen(text));
    text_add(&body, '\n');
  }
  h->redir->raw = text_end(&body);
}

static void after_newline(void) {
  for (; p.heres; p.heres = p.heres->next) read_here(p.heres);
}

static enum token operator_token(int c) {
  get();
  int d = peek();
  if (c == ';' && d == ';') { get(); return T_DSEMI; }
  if (c == '&' && d == '&') { get(); return T_AND; }
  if (c == '|' && d == '|') { get(); return T_OR; }
  return c == ';' ? T_SEMI : c == '&' ? T_AMP : c == '|' ? T_PIPE : c == '(' ? T_LPAREN : T_RPAREN;
}

static void next(void) {
  int c;
  for (;;) {
    c = peek();
    if (c == ' ' || c == '\t') get();
    else if (c == '#') while ((c = peek()) >= 0 && c != '\n') get();
    else break;
  }
  if (c < 0) { p.token = T_EOF; return; }
  if (c == '\n') {
    get();
    after_newline();
    p.token = T_NEWLINE;
    return;
  }
  if (c == '<' || c == '>') { read_redir(-1); return; }
  if (strchr(";&|()", c)) { p.token = operator_token(c); return; }
  p.word = read_word();
  size_t n = strlen(p.word);
  int digits = n > 0 && n < 4 && strspn(p.word, "0123456789") == n;
  if (digits && (peek() == '<' || peek() == '>')) { read_redir(atoi(p.word)); return; }
  if (n == 0) { next(); return; }         // only a continued line
  p.token = T_WORD;
}

static int is_word(const char *text) { return p.token == T_WORD && !strcmp(p.word, text); }

static void expect(const char *text) {
  if (!is_word(text)) {
    char message[64];
    snprintf(message, sizeof message, "expected `%s'", text);
    syntax_error(message);
  }
  input_continued(p.in, 1);
  next();
}

static void skip_newlines(void) {
  input_continued(p.in, 1);
  while (p.token == T_NEWLINE) next();
}

// ---- grammar ----
static struct node *parse_list(void);

static struct node *node_new(enum node_kind kind) {
  struct node *n = arena_alloc(sizeof *n);
  n->kind = kind;
  return n;
}

static char *unquote(const char *raw, int *quoted) {
  struct text t = { 0 };
  *quoted = 0;
  for (; *raw; raw++) {
    if (strchr("'\"", *raw)) { *quoted = 1; continue; }
    if (*raw == '\\' && raw[1]) { *quoted = 1; raw++; }
    text_add(&t, *raw);
  }
  return text_end(&t);
}

static struct redir *parse_redir(void) {
  struct redir *r = p.redir;
  next();
  if (p.token != T_WORD) syntax_error("redirection without a file name");
  r->raw = p.word;
  if (r->kind == R_HERE) {
    struct pending_here *h = arena_alloc(sizeof *h), **last = &p.heres;
    int quoted;
    h->redir = r;
    h->delimiter = unquote(p.word, &quoted);
    r->expand = !quoted;
    while (*last) last = &(*last)->next;
    *last = h;
  }
  next();
  return r;
}

static int is_assignment(const char *word) {
  const char *equals = strchr(word, '=');
  return equals && is_name(word, equals - word);
}

static struct word **add_word(struct word **last) {
  struct word *w = arena_alloc(sizeof *w);
  w->raw = p.word;
  *last = w;
  next();
  return &w->next;
}

static int is_reserved(void) {
  static const char *const words[] = { "then", "else", "elif", "fi", "do", "done", "esac", "}", 0 };
  for (int i = 0; words[i]; i++)
    if (is_word(words[i])) return 1;
  return 0;
}

static struct node *parse_compound(void);

static struct node *parse_function(char *name) {
  next();
  if (p.token != T_RPAREN) syntax_error("expected `)' after `('");
  next();
  skip_newlines();
  struct node *n = node_new(N_FUNCTION);
  n->name = name;
  n->left = parse_compound();
  if (!n->left) syntax_error("a function needs a body in braces");
  return n;
}

static struct node *parse_simple(void) {
  struct node *n = node_new(N_SIMPLE);
  struct word **words = &n->words, **assigns = &n->assigns;
  struct redir **redirs = &n->redirs;
  for (;;) {
    if (p.token == T_REDIR) { *redirs = parse_redir(); redirs = &(*redirs)->next; }
    else if (p.token == T_WORD && !n->words && is_assignment(p.word)) assigns = add_word(assigns);
    else if (p.token == T_WORD) words = add_word(words);
    else if (p.token == T_LPAREN && n->words && !n->words->next && is_name(n->words->raw, strlen(n->words->raw))) return parse_function(n->words->raw);
    else break;
  }
  if (!n->words && !n->assigns && !n->redirs) syntax_error(p.token == T_EOF ? "unexpected end of file" : "a command was expected");
  return n;
}

static struct node *parse_if(void) {
  struct node *n = node_new(N_IF);
  input_continued(p.in, 1);
  next();
  n->left = parse_list();
  expect("then");
  n->right = parse_list();
  if (is_word("elif")) { n->other = parse_if(); return n; }
  if (is_word("else")) { next(); n->other = parse_list(); }
  expect("fi");
  return n;
}

static struct node *parse_while(enum node_kind kind) {
  struct node *n = node_new(kind);
  input_continued(p.in, 1);
  next();
  n->left = parse_list();
  expect("do");
  n->right = parse_list();
  expect("done");
  return n;
}

static struct node *parse_for(void) {
  struct node *n = node_new(N_FOR);
  next();
  if (p.token != T_WORD || !is_name(p.word, strlen(p.word))) syntax_error("`for' needs a variable name");
  n->name = p.word;
  next();
  skip_newlines();
  if (is_word("in")) {
    n->has_in = 1;
    next();
    for (struct word **last = &n->words; p.token == T_WORD;) last = add_word(last);
  }
  if (p.token == T_SEMI) next();
  skip_newlines();
  expect("do");
  n->right = parse_list();
  expect("done");
  return n;
}

static struct node *parse_case(void) {
  struct node *n = node_new(N_CASE);
  next();
  if (p.token != T_WORD) syntax_error("`case' needs a word");
  n->name = p.word;
  next();
  skip_newlines();
  expect("in");
  skip_newlines();
  for (struct case_item **last = &n->items; !is_word("esac");) {
    struct case_item *item = arena_alloc(sizeof *item);
    if (p.token == T_LPAREN) next();
    for (struct word **w = &item->patterns;;) {
      if (p.token != T_WORD) syntax_error("`case' needs a pattern");
      w = add_word(w);
      if (p.token != T_PIPE) break;
      next();
    }
    if (p.token != T_RPAREN) syntax_error("expected `)' after a pattern");
    next();
    skip_newlines();
    if (p.token != T_DSEMI && !is_word("esac")) item->body = parse_list();
    if (p.token == T_DSEMI) next();
    skip_newlines();
    *last = item;
    last = &item->next;
  }
  next();
  return n;
}

static struct node *parse_group(enum node_kind kind) {
  struct node *n = node_new(kind);
  input_continued(p.in, 1);
  next();
  n->left = parse_list();
  if (kind == N_GROUP) expect("}");
  else if (p.token != T_RPAREN) syntax_error("expected `)'");
  else next();
  return n;
}

// A compound command, or null when none starts here.
static struct node *parse_compound(void) {
  struct node *n = p.token == T_LPAREN ? parse_group(N_SUBSHELL)
    : is_word("{") ? parse_group(N_GROUP)
    : is_word("if") ? parse_if()
    : is_word("while") ? parse_while(N_WHILE)
    : is_word("until") ? parse_while(N_UNTIL)
    : is_word("for") ? parse_for()
    : is_word("case") ? parse_case() : 0;
  if (n)
    for (struct redir **last = &n->redirs; p.token == T_REDIR; last = &(*last)->next) *last = parse_redir();
  return n;
}

static struct node *parse_command(void) {
  if (is_reserved()) syntax_error("a command was expected");
  struct node *n = parse_compound();
  return n ? n : parse_simple();
}

static struct node *parse_pipeline(void) {
  int bang = 0;
  while (is_word("!")) { bang = !bang; next(); }
  struct node *n = parse_command();
  while (p.token == T_PIPE) {
    struct node *pipe = node_new(N_PIPE);
    next();
    skip_newlines();
    pipe->left = n;
    pipe->right = parse_command();
    n = pipe;
  }
  if (!bang) return n;
  struct node *not = node_new(N_NOT);
  not->left = n;
  return not;
}

static struct node *parse_and_or(void) {
  struct node *n = parse_pipeline();
  while (p.token == T_AND || p.token == T_OR) {
    struct node *both = node_new(p.token == T_AND ? N_AND : N_OR);
    next();
    skip_newlines();
    both->left = n;
    both->right = parse_pipeline();
    n = both;
  }
  return n;
}

static struct node *sequence(struct node *before, struct node *n) {
  if (!before) return n;
  struct node *both = node_new(N_SEQ);
  both->left = before;
  both->right = n;
  return both;
}

static struct node *background(struct node *n) {
  struct node *back = node_new(N_BACKGROUND);
  back->left = n;
  return back;
}

// Commands up to a word that ends a compound command.
static struct node *parse_list(void) {
  struct node *all = 0;
  skip_newlines();
  while (p.token != T_EOF && p.token != T_RPAREN && p.token != T_DSEMI && !is_reserved()) {
    struct node *n = parse_and_or();
    if (p.token == T_AMP) { n = background(n); next(); }
    else if (p.token == T_SEMI) next();
    else if (p.token != T_NEWLINE) { all = sequence(all, n); break; }
    all = sequence(all, n);
    skip_newlines();
  }
  if (!all) syntax_error(p.token == T_EOF ? "unexpected end of file" : "a command was expected");
  return all;
}

int parse_line(struct input *in, struct node **out) {
  struct parser before = p;
  int result = 1;
  *out = 0;
  p = (struct parser){ .in = in };
  input_continued(in, 0);
  if (setjmp(p.fail)) {
    for (int c = peek(); c >= 0 && get() != '\n'; c = peek());
    p = before;
    return -1;
  }
  next();
  struct node *all = 0;
  if (p.token == T_EOF) result = 0;
  while (p.token != T_NEWLINE && p.token != T_EOF) {
    struct node *n = parse_and_or();
    if (p.token == T_AMP) { n = background(n); next(); }
    else if (p.token == T_SEMI) next();
    else if (p.token != T_NEWLINE && p.token != T_EOF) syntax_error("unexpected token");
    all = sequence(all, n);
  }
  if (p.heres) after_newline();
  *out = all;
  p = before;
  return result;
}
