---@meta keystone.re

--- Regular expressions in the syntax of RE2 (Go's regexp), which take time in proportion to the text. A pattern is a string of at most 4 KiB or what re.compile returned; strings are compiled once in each VM. A bad pattern is raised. Positions count bytes from 1; a capture that took no part is nil.
---@class keystone.re
local re = {}

---@class keystone.re.Pattern
local pattern = {}

--- Returns a pattern with the other functions as methods, without their pattern argument: p:match(s).
---@param pattern string
---@return keystone.re.Pattern
function re.compile(pattern) end

--- Returns a pattern that matches s itself.
---@param s string
---@return string
function re.escape(s) end

--- Whether the pattern matches anywhere in s; ^ and $ anchor it.
---@param s string
---@param pattern string|keystone.re.Pattern
---@return boolean
function re.test(s, pattern) end

--- The captures of the first match, or the whole match if the pattern has none; nil if there is no match.
---@param s string
---@param pattern string|keystone.re.Pattern
---@return string? ...
function re.match(s, pattern) end

--- Where the first match from init on begins and ends, and its captures; nil if there is none.
---@param s string
---@param pattern string|keystone.re.Pattern
---@param init? integer default 1; negative counts from the end
---@return integer? start
---@return integer? end
---@return string? ...
function re.find(s, pattern, init) end

--- Goes through all matches: the captures, or the whole match.
---@param s string
---@param pattern string|keystone.re.Pattern
---@return fun(): string?, ...
function re.gmatch(s, pattern) end

--- Replaces the first n matches, by default all; returns the text and how many there were. In a string $1, ${1} and ${name} are captures, $0 the whole match, $$ a dollar sign; a function gets the captures; a table is looked up by the first capture. false and nil leave the match.
---@param s string
---@param pattern string|keystone.re.Pattern
---@param replacement string|table|function
---@param n? integer
---@return string
---@return integer count
function re.gsub(s, pattern, replacement, n) end

--- The parts of s between the matches; at most n, of which the last is the rest.
---@param s string
---@param pattern string|keystone.re.Pattern
---@param n? integer
---@return string[]
function re.split(s, pattern, n) end

---@param s string
---@return boolean
function pattern:test(s) end

---@param s string
---@return string? ...
function pattern:match(s) end

---@param s string
---@param init? integer
---@return integer? start
---@return integer? end
---@return string? ...
function pattern:find(s, init) end

---@param s string
---@return fun(): string?, ...
function pattern:gmatch(s) end

---@param s string
---@param replacement string|table|function
---@param n? integer
---@return string
---@return integer count
function pattern:gsub(s, replacement, n) end

---@param s string
---@param n? integer
---@return string[]
function pattern:split(s, n) end

return re
