// Variables, and the positional parameters.
#include "sh.h"
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct var { char *name, *value; int exported, readonly; struct var *next; };
struct local { char *name, *value; int exported; struct local *next; };
static struct var *vars;
static struct local *locals;
static size_t local_count;
struct params params;
char *shell_name = "sh";

int is_name(const char *s, size_t n) {
  if (n == 0 || isdigit((unsigned char)*s)) return 0;
  for (size_t i = 0; i < n; i++)
    if (!isalnum((unsigned char)s[i]) && s[i] != '_') return 0;
  return 1;
}

static struct var *find(const char *name) {
  for (struct var *v = vars; v; v = v->next)
    if (!strcmp(v->name, name)) return v;
  return 0;
}

static struct var *find_or_add(const char *name) {
  struct var *v = find(name);
  if (v) return v;
  v = calloc(1, sizeof *v);
  v->name = strdup(name);
  v->next = vars;
  return vars = v;
}

void var_init(char **environ_in) {
  for (char **e = environ_in; *e; e++) {
    char *equals = strchr(*e, '=');
    if (!equals || !is_name(*e, equals - *e)) continue;
    struct var *v;
    *equals = 0;
    v = find_or_add(*e);
    *equals = '=';
    free(v->value);
    v->value = strdup(equals + 1);
    v->exported = 1;
  }
  if (!find("PATH")) { var_set("PATH", "/bin:/sbin:/usr/bin:/usr/sbin"); var_export("PATH"); }
  if (!find("PS1")) var_set("PS1", "$ ");
  var_set("PS2", "> ");
  var_set("PS4", "+ ");
  var_set("IFS", " \t\n");
}

const char *var_get(const char *name) {
  struct var *v = find(name);
  return v ? v->value : 0;
}

int var_set(const char *name, const char *value) {
  struct var *v = find_or_add(name);
  if (v->readonly) { sh_error("%s: is read only", name); return -1; }
  char *copy = value ? strdup(value) : 0;
  free(v->value);
  v->value = copy;
  return 0;
}

void var_export(const char *name) { find_or_add(name)->exported = 1; }
void var_readonly(const char *name) { find_or_add(name)->readonly = 1; }

void var_unset(const char *name) {
  for (struct var **at = &vars; *at; at = &(*at)->next) {
    struct var *v = *at;
    if (strcmp(v->name, name)) continue;
    if (v->readonly) { sh_error("%s: is read only", name); return; }
    *at = v->next;
    free(v->name);
    free(v->value);
    free(v);
    return;
  }
}

char **var_environ(void) {
  size_t n = 0;
  for (struct var *v = vars; v; v = v->next) n += v->exported && v->value;
  char **list = arena_alloc((n + 1) * sizeof *list);
  n = 0;
  for (struct var *v = vars; v; v = v->next) {
    if (!v->exported || !v->value) continue;
    struct text t = { 0 };
    text_adds(&t, v->name, strlen(v->name));
    text_add(&t, '=');
    text_adds(&t, v->value, strlen(v->value));
    list[n++] = text_end(&t);
  }
  return list;
}

static int by_name(const void *a, const void *b) {
  return strcmp((*(struct var *const *)a)->name, (*(struct var *const *)b)->name);
}

void var_print(int exported_only) {
  size_t n = 0, i = 0;
  for (struct var *v = vars; v; v = v->next) n++;
  struct var **list = arena_alloc((n + 1) * sizeof *list);
  for (struct var *v = vars; v; v = v->next) list[i++] = v;
  qsort(list, n, sizeof *list, by_name);
  for (i = 0; i < n; i++) {
    if ((exported_only && !list[i]->exported) || !list[i]->value) continue;
    printf("%s%s='", exported_only ? "export " : "", list[i]->name);
    for (const char *c = list[i]->value; *c; c++)
      if (*c == '\'') fputs("'\\''", stdout);
      else putchar(*c);
    puts("'");
  }
}

void var_local(const char *name) {
  struct var *v = find(name);
  struct local *l = calloc(1, sizeof *l);
  l->name = strdup(name);
  l->value = v && v->value ? strdup(v->value) : 0;
  l->exported = v ? v->exported : 0;
  l->next = locals;
  locals = l;
  local_count++;
}

size_t var_mark_locals(void) { return local_count; }

void var_pop_locals(size_t mark) {
  while (local_count > mark) {
    struct local *l = locals;
    if (l->value) {
      var_set(l->name, l->value);
      find(l->name)->exported = l->exported;
    } else var_unset(l->name);
    locals = l->next;
    local_count--;
    free(l->name);
    free(l->value);
    free(l);
  }
}
