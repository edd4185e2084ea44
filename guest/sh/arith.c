// $(( )): integer arithmetic of the C language, with variables and assignment.
#include "sh.h"
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *at;
static int failed;
static int skipping;                    // inside the part of && || ?: that is not evaluated

static long long assignment(void);

static void fail(const char *what) {
  if (!failed) sh_error("arithmetic: %s", what);
  failed = 1;
}

static void blanks(void) { while (isspace((unsigned char)*at)) at++; }

// Takes the operator `op` unless a longer operator starts here.
static int take(const char *op) {
  blanks();
  size_t n = strlen(op);
  if (strncmp(at, op, n)) return 0;
  char after = at[n];
  if (n == 1 && strchr("<>&|", *op) && after == *op) return 0;
  if (strchr("<>=!+-*/%&|^", *op) && after == '=' && strcmp(op, "==") && strcmp(op, "<=") && strcmp(op, ">=") && strcmp(op, "!=") && !strchr("!~", *op)) return 0;
  at += n;
  return 1;
}

static long long variable_value(const char *name) {
  const char *text = name[0] ? var_get(name) : 0;
  if (!text || !*text) return 0;
  char *end;
  long long value = strtoll(text, &end, 0);
  if (*end) fail("a variable does not hold a number");
  return value;
}

static int take_name(char *name, size_t room) {
  blanks();
  size_t n = 0;
  while (isalnum((unsigned char)at[n]) || at[n] == '_') n++;
  if (n == 0 || isdigit((unsigned char)*at) || n >= room) return 0;
  memcpy(name, at, n);
  name[n] = 0;
  at += n;
  return 1;
}

static long long primary(void) {
  char name[128];
  blanks();
  if (*at == '(') {
    at++;
    long long value = assignment();
    if (!take(")")) fail("expected )");
    return value;
  }
  if (take_name(name, sizeof name)) return variable_value(name);
  char *end;
  long long value = strtoll(at, &end, 0);
  if (end == at) { fail("a number was expected"); return 0; }
  at = end;
  return value;
}

static long long unary(void) {
  blanks();
  if (*at == '-') { at++; return -(unsigned long long)unary(); }
  if (*at == '+') { at++; return unary(); }
  if (*at == '~') { at++; return ~unary(); }
  if (*at == '!' && at[1] != '=') { at++; return !unary(); }
  return primary();
}

static long long divide(long long a, long long b, int modulo) {
  if (b == 0) {
    if (!skipping) fail("division by zero");
    return 0;
  }
  if (b == -1) return modulo ? 0 : -(unsigned long long)a;
  return modulo ? a % b : a / b;
}

static long long product(void) {
  long long v = unary();
  for (;;) {
    if (take("*")) v = (unsigned long long)v * unary();
    else if (take("/")) v = divide(v, unary(), 0);
    else if (take("%")) v = divide(v, unary(), 1);
    else return v;
  }
}

static long long sum(void) {
  long long v = product();
  for (;;) {
    if (take("+")) v = (unsigned long long)v + product();
    else if (take("-")) v = (unsigned long long)v - product();
    else return v;
  }
}

static long long shift(void) {
  long long v = sum();
  for (;;) {
    if (take("<<")) v = (unsigned long long)v << (sum() & 63);
    else if (take(">>")) v >>= sum() & 63;
    else return v;
  }
}

static long long compare(void) {
  long long v = shift();
  for (;;) {
    if (take("<=")) v = v <= shift();
    else if (take(">=")) v = v >= shift();
    else if (take("<")) v = v < shift();
    else if (take(">")) v = v > shift();
    else return v;
  }
}

static long long equal(void) {
  long long v = compare();
  for (;;) {
    if (take("==")) v = v == compare();
    else if (take("!=")) v = v != compare();
    else return v;
  }
}

static long long bit_and(void) {
  long long v = equal();
  while (take("&")) v &= equal();
  return v;
}

static long long bit_xor(void) {
  long long v = bit_and();
  while (take("^")) v ^= bit_and();
  return v;
}

static long long bit_or(void) {
  long long v = bit_xor();
  while (take("|")) v |= bit_xor();
  return v;
}

static long long both(void) {
  long long v = bit_or();
  while (take("&&")) {
    skipping += !v;
    long long w = bit_or();
    skipping -= !v;
    v = v && w;
  }
  return v;
}

static long long either(void) {
  long long v = both();
  while (take("||")) {
    int skip = v != 0;
    skipping += skip;
    long long w = both();
    skipping -= skip;
    v = v || w;
  }
  return v;
}

static long long conditional(void) {
  long long v = either();
  if (!take("?")) return v;
  skipping += !v;
  long long yes = assignment();
  skipping -= !v;
  if (!take(":")) fail("expected :");
  skipping += v != 0;
  long long no = conditional();
  skipping -= v != 0;
  return v ? yes : no;
}

static long long assignment(void) {
  static const char *const operators[] = { "<<=", ">>=", "+=", "-=", "*=", "/=", "%=", "&=", "|=", "^=", 0 };
  const char *start = at;
  char name[128], text[32];
  if (take_name(name, sizeof name)) {
    blanks();
    const char *op = 0;
    for (int i = 0; operators[i] && !op; i++)
      if (!strncmp(at, operators[i], strlen(operators[i]))) op = operators[i];
    if (op || (*at == '=' && at[1] != '=')) {
      at += op ? strlen(op) : 1;
      long long old = op ? variable_value(name) : 0, right = assignment(), v = right;
      switch (op ? *op : '=') {
        case '<': v = (unsigned long long)old << (right & 63); break;
        case '>': v = old >> (right & 63); break;
        case '+': v = (unsigned long long)old + right; break;
        case '-': v = (unsigned long long)old - right; break;
        case '*': v = (unsigned long long)old * right; break;
        case '/': v = divide(old, right, 0); break;
        case '%': v = divide(old, right, 1); break;
        case '&': v = old & right; break;
        case '|': v = old | right; break;
        case '^': v = old ^ right; break;
      }
      snprintf(text, sizeof text, "%lld", v);
      if (!skipping && !failed && var_set(name, text) < 0) failed = 1;
      return v;
    }
  }
  at = start;
  return conditional();
}

int arith(const char *text, long long *value) {
  const char *before = at;
  at = text;
  failed = skipping = 0;
  blanks();
  *value = *at ? assignment() : 0;
  blanks();
  if (!failed && *at) fail("text after the expression");
  at = before;
  return failed ? -1 : 0;
}
