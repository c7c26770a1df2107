// Package vm holds what keeps one Lua VM safe from the scripts that run on it
// and usable by many requests at once: the budget of a run, the lock that is
// held only while Lua instructions run, and the compiler, which makes scripts
// count the memory they ask for. It knows neither HTTP nor tenants.
package vm
