// Package affinity says which requests belong together: by the client, a field, a
// cookie, a parameter, the path or what a script says. Balancers send those to one
// target, and splits to one pool. Which target or pool that is, is left to others, but
// for who has been at a target before: that a cookie says (Sticky).
package affinity
