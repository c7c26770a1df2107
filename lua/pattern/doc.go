// Package pattern matches request paths to the patterns that scripts declare:
// chi's syntax, one immutable [Table] for the routes of a tenant, single
// patterns ([Pattern]) for middleware and scopes. A match allocates nothing,
// its parameters included. It knows neither Lua nor HTTP: what a route means
// is an opaque value of the caller's.
//
// # Syntax
//
// A pattern is a path whose segments may have holes:
//
//	/users/{id}           a parameter: one or more bytes, none of them a slash
//	/users/{id:[0-9]+}    a parameter that a regexp (RE2) matches as a whole
//	/{name}.json          literals around parameters, within a segment
//	/{year}-{month}       several parameters; a literal stands between them
//	/files/*              catch-all, at the end only: the rest, slashes included;
//	                      it may be empty. Its parameter is called "*"
//
// A trailing slash counts: /files/* matches /files/ and not /files. Paths are
// expected in the canonical form of package route, literals are compared
// with them byte by byte, and a literal that no canonical path can have (an
// empty or dot segment, an unescaped space, a lower-case escape…) is an error.
//
// A segment is split at its literals, each at its first place that leaves one
// byte to the parameter before it, the last literal at the end of the segment.
// Then the regexps judge the values: another split isn't tried.
//
// # Precedence
//
// Segment by segment from the left: a literal segment before one with
// parameters before a catch-all. Two segments with parameters are compared
// part by part from the left: the longer literal first, a regexp before a
// plain parameter before a catch-all; between equals the one added first. A
// choice that fails later on is taken back, and so is one whose pattern
// matches the path and not the method; at one pattern a route for the method
// stands before one for any method.
//
// # Bounds
//
// Patterns and paths are hostile. A table is a tree of segments, so a node
// belongs to one segment of the path and a match visits it at most once: the
// work is at most proportional to the table, never exponential. What a visit
// costs (searches for literals, regexps of at most [MaxRegexpSize]
// instructions) is counted as steps in [Params], and past [MaxSteps] a match
// ends with [Exhausted], which callers have to treat as a refusal.
//
// # Where chi differs
//
//   - chi panics; here every mistake is an error that says where.
//   - chi takes a literal after a parameter by its first byte only: its
//     /{name}.json doesn't match /a.b.json; here it does, name is a.b.
//   - chi's plain parameter may be empty before a literal (/{a}-x matches /-x);
//     here no parameter is ever empty.
//   - A regexp parameter before a literal may contain slashes in chi; here no
//     parameter does, only the catch-all.
//   - chi anchors a|b as ^a|b$; here a regexp always matches the whole value.
//     The braces of a regexp must balance as in chi, but those after a
//     backslash don't count.
//   - chi tries the nodes of one kind in an order that depends on how they were
//     added; here the rule above holds. chi lets a prefix that is shared by
//     letters win (/ab{x} before /a{y}); that is the same here.
//   - chi joins parameters of one place into one node when the byte after them
//     is the same, here when their whole segments are.
//   - chi replaces a route that is declared twice; here that is a [Conflict].
//     An any-method route doesn't replace those for a method, nor they it.
//   - chi's mounted routers are trees of their own: a request that entered one
//     never leaves it, and a name may come again further in. Here scopes are
//     joined ([Join]) into one table: another scope's route may match where
//     this one's don't, and a name can stand only once in a joined pattern.
//   - Two adjacent parameters ({a}{b}), an empty regexp ({a:}), a name with
//     other than letters, digits, "_", "-" and ".", and a literal that can
//     never match are errors; chi accepts them.
package pattern
