// Words to fields. A word is expanded into characters that each remember how they came about; then the unquoted
// results of expansions are split at IFS, and fields with unquoted * ? [ are matched against file names.
#include "sh.h"
#include <ctype.h>
#include <fnmatch.h>
#include <glob.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PLAIN = 0, QUOTED = 1, EXPANDED = 2, BREAK = 4, PRESENT = 8 };   // of a character
struct chars { char *c; unsigned char *how; size_t size, room; int error; };

static void put(struct chars *o, char c, int how) {
  if (o->size == o->room) {
    o->room = o->room ? o->room * 2 : 64;
    o->c = realloc(o->c, o->room);
    o->how = realloc(o->how, o->room);
  }
  o->c[o->size] = c;
  o->how[o->size++] = how;
}

static void puts_how(struct chars *o, const char *s, int how) {
  for (; *s; s++) put(o, *s, how);
}

static void expand_text(struct chars *o, const char *raw, size_t n, int quoted);

// The end of a group that opened just before `s`: the index of its closing character.
static size_t group_end(const char *s, int open, int close) {
  size_t i = 0;
  for (int depth = 1; s[i]; i++) {
    if (s[i] == '\\' && s[i + 1]) i++;
    else if (s[i] == '\'') { while (s[++i] && s[i] != '\''); if (!s[i]) break; }
    else if (s[i] == '"') { while (s[++i] && s[i] != '"') if (s[i] == '\\' && s[i + 1]) i++; if (!s[i]) break; }
    else if (s[i] == open) depth++;
    else if (s[i] == close && --depth == 0) break;
  }
  return i;
}

static void put_all_params(struct chars *o, int each, int quoted) {
  const char *ifs = var_get("IFS");
  if (quoted && each && params.count == 0) put(o, 0, BREAK);
  for (int i = 0; i < params.count; i++) {
    if (i > 0 && (each || !quoted)) put(o, 0, BREAK | PRESENT);
    else if (i > 0 && (!ifs || *ifs)) put(o, ifs ? *ifs : ' ', QUOTED);
    if (quoted) put(o, 0, QUOTED | PRESENT);
    puts_how(o, params.at[i], quoted ? QUOTED : EXPANDED);
  }
}

// The value of a parameter other than $@ and $*; null when unset. Numbers are written into `number`.
static const char *param_value(const char *name, char number[24]) {
  if (isdigit((unsigned char)*name)) {
    int i = atoi(name);
    return i == 0 ? shell_name : i <= params.count ? params.at[i - 1] : 0;
  }
  int value;
  switch (*name) {
    case '?': value = last_status; break;
    case '$': value = shell_pid; break;
    case '#': value = params.count; break;
    case '!': if (!last_background) return 0; value = last_background; break;
    case '-': return flag_interactive ? "i" : "";
    default: return var_get(name);
  }
  snprintf(number, 24, "%d", value);
  return number;
}

static char *expand_to_string(const char *raw, int pattern, int quoted);

// ${name#pattern} and its relatives: what is left of `value`.
static char *strip(const char *value, const char *raw, int end, int longest) {
  char *pattern = expand_to_string(raw, 1, 0);
  size_t n = strlen(value);
  if (!pattern) return 0;
  for (size_t i = 0; i <= n; i++) {
    size_t cut = longest ? n - i : i;       // how many characters to try
    char *part = end ? arena_strndup(value + n - cut, cut) : arena_strndup(value, cut);
    if (fnmatch(pattern, part, 0) == 0) return end ? arena_strndup(value, n - cut) : arena_strndup(value + cut, n - cut);
  }
  return arena_strndup(value, n);
}

static void bad_substitution(struct chars *o, const char *body) {
  sh_error("${%s}: bad substitution", body);
  o->error = 1;
}

static void use_word(struct chars *o, const char *word, int quoted) {
  expand_text(o, word, strlen(word), quoted);
}

// What stands between ${ and }.
static void expand_braced(struct chars *o, const char *body, int quoted) {
  char number[24];
  int length = body[0] == '#' && body[1] && !strchr("}-=+?:%#", body[1]);
  const char *name = body + length, *op = name;
  if (isalpha((unsigned char)*op) || *op == '_') while (isalnum((unsigned char)*op) || *op == '_') op++;
  else if (isdigit((unsigned char)*op)) while (isdigit((unsigned char)*op)) op++;
  else if (*op && strchr("@*#?-$!", *op)) op++;
  if (op == name) { bad_substitution(o, body); return; }
  name = arena_strndup(name, op - name);
  int all = *name == '@' || *name == '*';
  const char *value = all ? (params.count ? "" : 0) : param_value(name, number);
  if (length) {
    char text[24];
    snprintf(text, sizeof text, "%zu", all ? (size_t)params.count : value ? strlen(value) : 0);
    if (*op) bad_substitution(o, body);
    else puts_how(o, text, quoted ? QUOTED : EXPANDED);
    return;
  }
  int colon = *op == ':' && op[1];
  op += colon;
  int empty = !value || (colon && !*value && !all), kind = *op;
  const char *word = kind ? op + 1 : "";
  if ((kind == '#' || kind == '%') && !colon && value && !all) {
    int longest = *word == kind;
    value = strip(value, word + longest, kind == '%', longest);
    if (!value) { o->error = 1; return; }
  } else if (kind == '-' || kind == '=' || kind == '?' || kind == '+') {
    if (kind == '+') { if (!empty) use_word(o, word, quoted); return; }
    if (empty && kind == '-') { use_word(o, word, quoted); return; }
    if (empty && kind == '?') {
      char *message = expand_one(word);
      sh_error("%s: %s", name, message && *message ? message : "parameter not set");
      o->error = 2;
      return;
    }
    if (empty && kind == '=') {
      value = expand_one(word);
      if (!is_name(name, strlen(name)) || !value || var_set(name, value) < 0) { bad_substitution(o, body); return; }
    }
  } else if (kind && value) { bad_substitution(o, body); return; }
  if (all) { put_all_params(o, *name == '@', quoted); return; }
  if (!value && flag_nounset) {
    sh_error("%s: parameter not set", name);
    o->error = 2;
  }
  if (value) puts_how(o, value, quoted ? QUOTED : EXPANDED);
}

static void put_command(struct chars *o, const char *command, int quoted) {
  char *output = capture(command);
  size_t n = strlen(output);
  while (n > 0 && output[n - 1] == '\n') output[--n] = 0;
  puts_how(o, output, quoted ? QUOTED : EXPANDED);
}

static void put_arith(struct chars *o, const char *text, int quoted) {
  char *expanded = expand_to_string(text, 0, 2), number[24];
  long long value;
  if (!expanded || arith(expanded, &value) < 0) { o->error = 2; return; }
  snprintf(number, sizeof number, "%lld", value);
  puts_how(o, number, quoted ? QUOTED : EXPANDED);
}

// Expands the $ at s[0]; returns how many characters it took.
static size_t expand_dollar(struct chars *o, const char *s, size_t n, int quoted) {
  if (n > 2 && s[1] == '(' && s[2] == '(') {
    size_t end = 3 + group_end(s + 3, '(', ')');
    if (end + 1 < n && s[end + 1] == ')') { put_arith(o, arena_strndup(s + 3, end - 3), quoted); return end + 2; }
  }
  if (n > 1 && (s[1] == '(' || s[1] == '{')) {
    size_t end = 2 + group_end(s + 2, s[1], s[1] == '(' ? ')' : '}');
    char *body = arena_strndup(s + 2, end - 2);
    if (s[1] == '(') put_command(o, body, quoted);
    else expand_braced(o, body, quoted);
    return end + 1 < n ? end + 1 : n;
  }
  size_t end = 1;
  if (n > 1 && (isalpha((unsigned char)s[1]) || s[1] == '_')) while (end < n && (isalnum((unsigned char)s[end]) || s[end] == '_')) end++;
  else if (n > 1 && (isdigit((unsigned char)s[1]) || strchr("@*#?-$!", s[1]))) end = 2;
  if (end == 1) put(o, '$', quoted ? QUOTED : PLAIN);
  else expand_braced(o, arena_strndup(s + 1, end - 1), quoted);
  return end;
}

static size_t expand_backquote(struct chars *o, const char *s, size_t n, int quoted) {
  struct text t = { 0 };
  size_t i = 1;
  for (; i < n && s[i] != '`'; i++) {
    if (s[i] == '\\' && i + 1 < n && strchr("`\\$", s[i + 1])) i++;
    text_add(&t, s[i]);
  }
  put_command(o, text_end(&t), quoted);
  return i < n ? i + 1 : n;
}

static size_t expand_tilde(struct chars *o, const char *s, size_t n) {
  size_t end = 1;
  while (end < n && s[end] != '/' && s[end] != ':') {
    if (!isalnum((unsigned char)s[end]) && s[end] != '_' && s[end] != '-') return 0;
    end++;
  }
  const char *home = var_get("HOME");
  if (end > 1) {
    struct passwd *user = getpwnam(arena_strndup(s + 1, end - 1));
    home = user ? user->pw_dir : 0;
  }
  if (!home) return 0;
  puts_how(o, home, QUOTED);
  return end;
}

// quoted: 0 outside quotes, 1 inside double quotes, 2 as in a here-document: like 1, but " is an ordinary character.
static void expand_text(struct chars *o, const char *raw, size_t n, int quoted) {
  for (size_t i = 0; i < n && !o->error;) {
    char c = raw[i];
    if (c == '$') i += expand_dollar(o, raw + i, n - i, quoted);
    else if (c == '`') i += expand_backquote(o, raw + i, n - i, quoted);
    else if (c == '\\') {
      if (i + 1 == n) put(o, c, QUOTED);
      else if (quoted && !strchr(quoted == 1 ? "$`\"\\\n" : "$`\\\n", raw[i + 1])) { put(o, c, QUOTED); put(o, raw[i + 1], QUOTED); }
      else if (raw[i + 1] != '\n') put(o, raw[i + 1], QUOTED);
      i += 2;
    } else if (c == '"' && quoted != 2) {
      if (quoted) { i++; continue; }
      size_t end = i + 1;
      while (end < n && raw[end] != '"') {
        if (raw[end] == '\\') end++;
        else if (raw[end] == '$' && end + 1 < n && (raw[end + 1] == '(' || raw[end + 1] == '{'))
          end += 1 + 1 + group_end(raw + end + 2, raw[end + 1], raw[end + 1] == '(' ? ')' : '}');
        end++;
      }
      if (end > n) end = n;
      int only_all = end - i == 3 && !strncmp(raw + i + 1, "$@", 2);
      if (!only_all) put(o, 0, QUOTED | PRESENT);
      expand_text(o, raw + i + 1, end - i - 1, 1);
      i = end + 1;
    } else if (c == '\'' && !quoted) {
      put(o, 0, QUOTED | PRESENT);
      for (i++; i < n && raw[i] != '\''; i++) put(o, raw[i], QUOTED);
      i++;
    } else if (c == '~' && !quoted && (i == 0 || raw[i - 1] == '=' || raw[i - 1] == ':')) {
      size_t used = expand_tilde(o, raw + i, n - i);
      if (!used) put(o, c, PLAIN);
      i += used ? used : 1;
    } else {
      put(o, c, quoted ? QUOTED : PLAIN);
      i++;
    }
  }
}

static void failed(struct chars *o) {
  last_status = 1;
  if (o->error == 2 && !flag_interactive) { unwind = U_EXIT; last_status = 2; }
}

// pattern: quoted characters are escaped, for fnmatch.
static char *expand_to_string(const char *raw, int pattern, int quoted) {
  struct chars o = { 0 };
  struct text t = { 0 };
  expand_text(&o, raw, strlen(raw), quoted);
  for (size_t i = 0; i < o.size; i++) {
    if (o.how[i] & BREAK && o.how[i] & PRESENT) { text_add(&t, ' '); continue; }
    if (o.how[i] & (PRESENT | BREAK)) continue;
    if (pattern && o.how[i] & QUOTED && strchr("*?[]\\-!", o.c[i])) text_add(&t, '\\');
    text_add(&t, o.c[i]);
  }
  if (o.error) failed(&o);
  char *result = text_end(&t);
  int error = o.error;
  free(o.c);
  free(o.how);
  return error ? 0 : result;
}

char *expand_one(const char *raw) { return expand_to_string(raw, 0, 0); }
char *expand_pattern(const char *raw) { return expand_to_string(raw, 1, 0); }
char *expand_here(const char *raw) { return expand_to_string(raw, 0, 2); }

static void add_field(struct fields *f, char *text) {
  if (f->count + 1 >= f->room) {
    int room = f->room ? f->room * 2 : 16;
    char **at = arena_alloc(room * sizeof *at);
    if (f->count) memcpy(at, f->at, f->count * sizeof *at);
    f->at = at;
    f->room = room;
  }
  f->at[f->count++] = text;
  f->at[f->count] = 0;
}

// Adds characters [from, to) as one field, or as the file names it matches.
static void add_range(struct fields *f, const struct chars *o, size_t from, size_t to) {
  struct text plain = { 0 }, pattern = { 0 };
  int globs = 0;
  for (size_t i = from; i < to; i++) {
    if (o->how[i] & PRESENT) continue;
    if (!(o->how[i] & QUOTED) && strchr("*?[", o->c[i])) globs = 1;
    if ((o->how[i] & QUOTED && strchr("*?[]\\", o->c[i])) || (!(o->how[i] & QUOTED) && o->c[i] == '\\')) text_add(&pattern, '\\');
    text_add(&pattern, o->c[i]);
    text_add(&plain, o->c[i]);
  }
  char *text = text_end(&plain), *glob_text = text_end(&pattern);
  glob_t found;
  if (globs && glob(glob_text, 0, 0, &found) == 0) {
    for (size_t i = 0; i < found.gl_pathc; i++) add_field(f, arena_strndup(found.gl_pathv[i], strlen(found.gl_pathv[i])));
    globfree(&found);
    return;
  }
  add_field(f, text);
}

static void split(struct fields *f, const struct chars *o) {
  const char *ifs = var_get("IFS");
  if (!ifs) ifs = " \t\n";
  size_t start = 0;
  int open = 0;                                   // a field has begun at `start`
  for (size_t i = 0; i < o->size; i++) {
    int separator = !(o->how[i] & (QUOTED | BREAK)) && o->how[i] & EXPANDED && o->c[i] && strchr(ifs, o->c[i]);
    if (o->how[i] & BREAK) {
      if (open || o->how[i] & PRESENT) { if (open) add_range(f, o, start, i); }
      open = 0;
    } else if (separator) {
      int blank = isspace((unsigned char)o->c[i]);
      if (open || !blank) add_range(f, o, open ? start : i, i);
      open = 0;
      // Blanks around one other separator belong to it.
      while (i + 1 < o->size && o->how[i + 1] & EXPANDED && isspace((unsigned char)o->c[i + 1]) && strchr(ifs, o->c[i + 1])) i++;
      if (blank && i + 1 < o->size && o->how[i + 1] & EXPANDED && strchr(ifs, o->c[i + 1]) && !isspace((unsigned char)o->c[i + 1])) i++;
    } else if (!open) {
      open = 1;
      start = i;
    }
  }
  if (open) add_range(f, o, start, o->size);
}

int expand_words(const struct word *w, struct fields *out) {
  for (; w; w = w->next) {
    struct chars o = { 0 };
    expand_text(&o, w->raw, strlen(w->raw), 0);
    if (!o.error) split(out, &o);
    else failed(&o);
    int error = o.error;
    free(o.c);
    free(o.how);
    if (error) return -1;
  }
  return 0;
}
