---@meta keystone.time

--- Times are seconds since 1970 in UTC, as numbers with fractions. A layout is "rfc3339" (the default), "http", or text with directives: %Y %m %d %H %M %S %y %b %B %a %A %e %j %p %I, %L (milliseconds), %f (microseconds), %s (seconds since 1970), %F (%Y-%m-%d), %T (%H:%M:%S), %z (+0000), %Z (UTC), %n %t %%.
---@class keystone.time
local time = {}

--- The time, with fractions of a second.
---@return number
function time.now() end

--- The time in whole seconds.
---@return integer
function time.unix() end

--- Seconds since some moment, for measuring: it doesn't jump when the clock is set.
---@return number
function time.monotonic() end

--- A time, by default the present, as text.
---@param seconds? number
---@param layout? string
---@return string
function time.format(seconds, layout) end

--- The time that a text stands for, or nil and a message. All of the text must fit the layout.
---@param text string
---@param layout? string
---@return number? seconds
---@return string? message
function time.parse(text, layout) end

--- Waits, while other requests use the VM. lua.total_timeout ends the request meanwhile.
---@param seconds number
function time.sleep(seconds) end

return time
