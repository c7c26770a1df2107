---@meta keystone.ip

--- Addresses and networks of them, IPv4 and IPv6. IPv4 in IPv6 (::ffff:10.0.0.1) is IPv4, and zones (fe80::1%eth0) make no difference. A text that is no address is nil and a message; a network that is none is raised.
---@class keystone.ip
local ip = {}

---@class keystone.ip.Set
local set = {}

--- Networks, compiled: at most 10000 texts like "10.0.0.0/8" or "192.0.2.7", or one. "unix" stands for clients on Unix sockets. Make it when the script is loaded.
---@param networks string|string[]
---@return keystone.ip.Set
function ip.set(networks) end

--- Whether the address is in one of the networks; nil and a message for what is no address.
---@param address string
---@return boolean? contained
---@return string? message
function set:contains(address) end

---@class keystone.ip.Address
---@field address string as normalize has it
---@field version 4|6
---@field private boolean 10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16, fc00::/7
---@field loopback boolean
---@field link_local boolean
---@field multicast boolean
---@field unspecified boolean

--- What is known of an address.
---@param address string
---@return keystone.ip.Address?
---@return string? message
function ip.parse(address) end

--- The one text of the address: IPv6 in lower case and as short as it can be (RFC 5952).
---@param address string
---@return string?
---@return string? message
function ip.normalize(address) end

--- Whether the address is for use within a network of one's own (RFC 1918, RFC 4193).
---@param address string
---@return boolean?
---@return string? message
function ip.is_private(address) end

--- The network of an address, of so many bits, or a network as it is written: a key for what belongs together.
---@param address string
---@param bits? integer 0 to 128; without it all of an address's
---@return string?
---@return string? message
function ip.network(address, bits) end

return ip
