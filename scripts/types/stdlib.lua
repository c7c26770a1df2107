---@meta _

-- The language's own library, as scripts have it: Lua 5.1's, without what
-- reaches outside of the VM. .luarc.json turns LuaLS's definitions off, so
-- that an editor marks what isn't here: io, debug, loadfile, dofile, module,
-- collectgarbage, newproxy, os.execute and the like, string.dump.
--
-- Every function counts its work as instructions and its results as memory of
-- the request. Scripts can add to the tables of the library, in their own VM;
-- what is in them is read-only.

--- The table of all globals. Assigning to a global while a request runs changes it in one VM only; with lua.strict_globals it is an error.
_G = {}

--- "Lua 5.1".
_VERSION = "Lua 5.1"

--- Raises message (any value) if v is false or nil; otherwise returns all its arguments.
---@generic T
---@param v? T
---@param message? any default "assertion failed!"
---@param ... any
---@return T
---@return any ...
function assert(v, message, ...) end

--- Raises an error, with the position in front if message is a string. level 1, the default, is where error was called; 2 is where that function was called; 0 adds no position.
---@param message? any
---@param level? integer
function error(message, level) end

--- Returns the metatable of a table, or what its field __metatable says; for a string a read-only table with __index; nil for everything else.
---@param object any
---@return table? metatable
function getmetatable(object) end

--- Returns the table that a function has for its global variables; a number is the level of a function that runs, 1 by default, 0 is _G.
---@param f? function|integer
---@return table
function getfenv(f) end

--- Goes through t[1], t[2], … up to the first nil.
---@generic T: table, V
---@param t T
---@return fun(table: V[], i?: integer): integer, V
---@return T
---@return integer i
function ipairs(t) end

--- Compiles a text, or what a function returns part by part until it returns nothing, and returns the function, or nil and a message. mode must have a "t": there are no binary chunks. A text has 64 KiB at most; compiling it counts.
---@param chunk string|fun(): string?
---@param chunkname? string
---@param mode? string
---@param env? table for its global variables
---@return function?
---@return string? message
function load(chunk, chunkname, mode, env) end

--- Compiles a text as load does.
---@param text string
---@param chunkname? string
---@return function?
---@return string? message
function loadstring(text, chunkname) end

--- Returns the next key of a table with its value; nil after the last. The first call has no key.
---@generic K, V
---@param table table<K, V>
---@param index? K
---@return K?
---@return V?
function next(table, index) end

--- Goes through all keys of a table, or calls the metamethod __pairs, as request.headers has one.
---@generic T: table, K, V
---@param t T
---@return fun(table: table<K, V>, index?: K): K, V
---@return T
function pairs(t) end

--- Calls f. Returns true and its results, or false and the error value. A request that has used up a limit can't go on this way: the error comes again. A coroutine can't yield inside of f.
---@param f function
---@param ... any
---@return boolean success
---@return any ...
function pcall(f, ...) end

--- Writes its arguments, separated by tabs, to the gateway's log, as log.info does.
---@param ... any
function print(...) end

--- Compares without metamethods.
---@param v1 any
---@param v2 any
---@return boolean
function rawequal(v1, v2) end

--- Reads without metamethods.
---@param table table
---@param index any
---@return any
function rawget(table, index) end

--- Assigns without metamethods. A read-only table is an error.
---@param table table
---@param index any
---@param value any
---@return table
function rawset(table, index, value) end

--- Returns a module: one of the gateway's, such as "keystone.crypto", or a file of the tenant's own directory: "lib.auth" is scripts_dir/TENANT/lib/auth.lua, or lib/auth/init.lua, and can only be loaded while scripts are loaded. Each VM loads a module once.
---@param modname string
---@return any
function require(modname) end

--- Returns its arguments from the n-th on; with "#" their number.
---@param index integer|"#"
---@param ... any
---@return any ...
function select(index, ...) end

--- Gives a function of the script's a table for its global variables; a number is the level of a function that runs. Returns the function.
---@param f function|integer
---@param table table
---@return function
function setfenv(f, table) end

--- Sets the metatable of a table, and returns the table. __gc and __mode do nothing.
---@param table table
---@param metatable? table
---@return table
function setmetatable(table, metatable) end

--- Returns the number that a string or a number stands for, or nil. base is 2 to 36.
---@param e any
---@param base? integer
---@return number?
function tonumber(e, base) end

--- Returns the text of a value, with __tostring. Tables and functions have an identity that tells no address.
---@param v any
---@return string
function tostring(v) end

--- Returns "nil", "number", "string", "boolean", "table", "function", "thread" or "userdata".
---@param v any
---@return "nil"|"number"|"string"|"boolean"|"table"|"function"|"thread"|"userdata"
function type(v) end

--- Returns list[i], …, list[j], at most 8000 values.
---@generic T
---@param list T[]
---@param i? integer default 1
---@param j? integer default #list
---@return T ...
function unpack(list, i, j) end

--- Calls f as pcall does; msgh gets the error value, and what it returns is returned.
---@param f function
---@param msgh function
---@return boolean success
---@return any ...
function xpcall(f, msgh) end

--- What require knows.
---@class packagelib
---@field config string
---@field cpath string ""
---@field loaded table<string, any> the modules that have been loaded; Lua's own libraries can't be replaced
---@field path string "?.lua;?/init.lua"; it can't be changed
---@field preload table<string, function> makes modules without files
package = {}

---@class bitlib
bit = {}

--- The number as 32 bits with a sign, as LuaJIT has it.
---@param x number
---@return integer
function bit.tobit(x) end

--- All bits turned.
---@param x number
---@return integer
function bit.bnot(x) end

--- The bytes in reverse order.
---@param x number
---@return integer
function bit.bswap(x) end

--- Bits that all have.
---@param x number
---@param ... number
---@return integer
function bit.band(x, ...) end

--- Bits that any has.
---@param x number
---@param ... number
---@return integer
function bit.bor(x, ...) end

--- Bits that an odd number of them have.
---@param x number
---@param ... number
---@return integer
function bit.bxor(x, ...) end

--- Shifts to the left, by n modulo 32.
---@param x number
---@param n integer
---@return integer
function bit.lshift(x, n) end

--- Shifts to the right, by n modulo 32; zeros come in.
---@param x number
---@param n integer
---@return integer
function bit.rshift(x, n) end

--- Shifts to the right, by n modulo 32; the sign stays.
---@param x number
---@param n integer
---@return integer
function bit.arshift(x, n) end

--- Turns to the left.
---@param x number
---@param n integer
---@return integer
function bit.rol(x, n) end

--- Turns to the right.
---@param x number
---@param n integer
---@return integer
function bit.ror(x, n) end

--- Hexadecimal digits: 8, or n; negative is in capitals.
---@param x number
---@param n? integer
---@return string
function bit.tohex(x, n) end

---@class bit32lib
bit32 = {}

--- All bits turned, without a sign, as Lua 5.2 has it.
---@param x number
---@return integer
function bit32.bnot(x) end

--- Bits that all have.
---@param ... number
---@return integer
function bit32.band(...) end

--- Bits that any has.
---@param ... number
---@return integer
function bit32.bor(...) end

--- Bits that an odd number of them have.
---@param ... number
---@return integer
function bit32.bxor(...) end

--- Whether there are bits that all have.
---@param ... number
---@return boolean
function bit32.btest(...) end

--- Shifts to the left, or to the right by a negative n.
---@param x number
---@param n integer
---@return integer
function bit32.lshift(x, n) end

--- Shifts to the right, or to the left by a negative n; zeros come in.
---@param x number
---@param n integer
---@return integer
function bit32.rshift(x, n) end

--- Shifts to the right; the highest bit stays.
---@param x number
---@param n integer
---@return integer
function bit32.arshift(x, n) end

--- Turns to the left.
---@param x number
---@param n integer
---@return integer
function bit32.lrotate(x, n) end

--- Turns to the right.
---@param x number
---@param n integer
---@return integer
function bit32.rrotate(x, n) end

--- A field of bits, from 0 to 31.
---@param x number
---@param field integer
---@param width? integer default 1
---@return integer
function bit32.extract(x, field, width) end

--- The number with a field of bits replaced.
---@param x number
---@param v number
---@param field integer
---@param width? integer default 1
---@return integer
function bit32.replace(x, v, field, width) end

---@class coroutinelib
coroutine = {}

--- Makes a coroutine. A request may make lua.max_coroutines, and none outlives its request.
---@param f async fun(...): ...
---@return thread
function coroutine.create(f) end

--- Starts or continues a coroutine. Returns true and what it yields or returns, or false and the error value.
---@param co thread
---@param ... any
---@return boolean success
---@return any ...
function coroutine.resume(co, ...) end

--- Returns the coroutine that runs, or nil outside of any.
---@return thread?
function coroutine.running() end

--- Returns "running", "suspended", "normal" or "dead".
---@param co thread
---@return "running"|"suspended"|"normal"|"dead"
function coroutine.status(co) end

--- Makes a coroutine and returns a function that resumes it, and raises its errors.
---@param f async fun(...): ...
---@return fun(...): ...
function coroutine.wrap(f) end

--- Suspends the coroutine. Inside of pcall, a metamethod or an iterator of a for loop it is an error.
---@async
---@param ... any
---@return any ...
function coroutine.yield(...) end

---@class mathlib
---@field huge number infinity
---@field pi number
math = {}

---@param x number
---@return number
function math.abs(x) end
---@param x number
---@return number
function math.acos(x) end
---@param x number
---@return number
function math.asin(x) end
---@param x number
---@return number
function math.atan(x) end
---@param y number
---@param x number
---@return number
function math.atan2(y, x) end
--- Rounds up.
---@param x number
---@return integer
function math.ceil(x) end
---@param x number
---@return number
function math.cos(x) end
---@param x number
---@return number
function math.cosh(x) end
--- Turns radians into degrees.
---@param x number
---@return number
function math.deg(x) end
---@param x number
---@return number
function math.exp(x) end
--- Rounds down.
---@param x number
---@return integer
function math.floor(x) end
--- The remainder of x / y, with the sign of x.
---@param x number
---@param y number
---@return number
function math.fmod(x, y) end
--- x is m * 2^e, and 0.5 <= |m| < 1.
---@param x number
---@return number m
---@return integer e
function math.frexp(x) end
--- m * 2^e.
---@param m number
---@param e integer
---@return number
function math.ldexp(m, e) end
--- The natural logarithm.
---@param x number
---@return number
function math.log(x) end
---@param x number
---@return number
function math.log10(x) end
---@param x number
---@param ... number
---@return number
function math.max(x, ...) end
---@param x number
---@param ... number
---@return number
function math.min(x, ...) end
--- The whole part and the fraction.
---@param x number
---@return integer
---@return number
function math.modf(x) end

--- math.fmod by the name that it had in Lua 5.0.
---@param x number
---@param y number
---@return number
function math.mod(x, y) end
---@param x number
---@param y number
---@return number
function math.pow(x, y) end
--- Turns degrees into radians.
---@param x number
---@return number
function math.rad(x) end
--- A random number from 0 to less than 1, from 1 to m, or from m to n. Not for secrets: crypto.random is.
---@overload fun(): number
---@overload fun(m: integer): integer
---@param m integer
---@param n integer
---@return integer
function math.random(m, n) end
--- Does nothing: random numbers are always seeded.
---@param x? number
function math.randomseed(x) end
---@param x number
---@return number
function math.sin(x) end
---@param x number
---@return number
function math.sinh(x) end
---@param x number
---@return number
function math.sqrt(x) end
---@param x number
---@return number
function math.tan(x) end
---@param x number
---@return number
function math.tanh(x) end

---@class oslib
os = {}

--- Seconds since the VM was made, by the wall clock.
---@return number
function os.clock() end

--- Formats a time, by default the present, in local time, or in UTC if the format begins with "!". "*t" gives a table.
---@overload fun(format: "*t"|"!*t", time?: integer): osdate
---@param format? string default "%c"
---@param time? integer seconds since 1970
---@return string
function os.date(format, time) end

--- The seconds between two times.
---@param t2 number
---@param t1? number default 0
---@return number
function os.difftime(t2, t1) end

--- Seconds since 1970: the present, or what a table says in local time.
---@param date? osdate
---@return integer
function os.time(date) end

---@class osdate
---@field year integer
---@field month integer 1 to 12
---@field day integer 1 to 31
---@field hour? integer default 12
---@field min? integer default 0
---@field sec? integer default 0
---@field wday? integer 1 is Sunday
---@field yday? integer
---@field isdst? boolean

--- Also the methods of strings: s:upper(). Patterns are Lua's; keystone.re has regular expressions.
---@class stringlib
string = {}

--- The bytes s[i] to s[j].
---@param s string|number
---@param i? integer default 1
---@param j? integer default i
---@return integer ...
function string.byte(s, i, j) end
--- A string of bytes.
---@param byte integer 0 to 255
---@param ... integer
---@return string
function string.char(byte, ...) end
--- The first match from init on: where it begins and ends, then its captures; nil if there is none. plain looks for the text itself.
---@param s string|number
---@param pattern string|number
---@param init? integer default 1
---@param plain? boolean
---@return integer? start
---@return integer? end
---@return any ... captured
function string.find(s, pattern, init, plain) end
--- Formats as C's printf; %q quotes, and %s takes any value.
---@param s string|number
---@param ... any
---@return string
function string.format(s, ...) end
--- Goes through all matches: the captures, or the whole match.
---@param s string|number
---@param pattern string|number
---@return fun(): string, ...
function string.gmatch(s, pattern) end

--- string.gmatch by the name that it had in Lua 5.0.
---@param s string
---@param pattern string
---@return fun(): string, ...
function string.gfind(s, pattern) end
--- Replaces the first n matches, by default all. Returns the text and how many there were.
---@param s string|number
---@param pattern string|number
---@param repl string|number|table|function
---@param n? integer
---@return string
---@return integer count
function string.gsub(s, pattern, repl, n) end
--- The number of bytes.
---@param s string|number
---@return integer
function string.len(s) end
---@param s string|number
---@return string
function string.lower(s) end
--- The captures of the first match from init on, or the whole match; nil if there is none.
---@param s string|number
---@param pattern string|number
---@param init? integer default 1
---@return any ...
function string.match(s, pattern, init) end
--- s, n times.
---@param s string|number
---@param n integer
---@return string
function string.rep(s, n) end
---@param s string|number
---@return string
function string.reverse(s) end
--- The bytes from i to j; negative ones count from the end.
---@param s string|number
---@param i integer
---@param j? integer default -1
---@return string
function string.sub(s, i, j) end
---@param s string|number
---@return string
function string.upper(s) end

---@class tablelib
table = {}

--- Joins list[i] to list[j], strings and numbers.
---@param list table
---@param sep? string default ""
---@param i? integer default 1
---@param j? integer default #list
---@return string
function table.concat(list, sep, i, j) end
--- #list.
---@param list table
---@return integer
function table.getn(list) end

--- Calls f with each key and value, until it returns something, and returns that. For scripts of Lua 5.0.
---@param t table
---@param f fun(key: any, value: any): any
---@return any
function table.foreach(t, f) end

--- table.foreach for t[1] to t[#t].
---@param t any[]
---@param f fun(index: integer, value: any): any
---@return any
function table.foreachi(t, f) end
--- Inserts a value at a position, by default the end.
---@overload fun(list: table, value: any)
---@param list table
---@param pos integer
---@param value any
function table.insert(list, pos, value) end
--- The largest positive key that is a number, or 0.
---@param table table
---@return number
function table.maxn(table) end
--- Removes the element at a position, by default the last, and returns it.
---@param list table
---@param pos? integer
---@return any
function table.remove(list, pos) end
--- Sorts in place; comp(a, b) says whether a comes first, by default a < b.
---@generic T
---@param list T[]
---@param comp? fun(a: T, b: T): boolean
function table.sort(list, comp) end
