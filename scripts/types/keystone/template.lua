---@meta keystone.template

--- Texts with values in them, which are escaped by where they stand in the HTML. The tags are Mustache's: {{ value }}, {{{ html }}}, {{# section }} {{/ section }}, {{^ where it is empty }}, {{! remark }}, {{> part }}.
---@class keystone.template
local template = {}

---@class keystone.template.Template
local compiled = {}

---@class keystone.template.Options
---@field escape? "html"|"none" default "html"; "none" is for what is no HTML
---@field strict? boolean whether a value that isn't there is raised; default false: it is empty
---@field partials? table<string, string> texts for {{> name }}

--- Reads a template, once: do it when the script is loaded. What is wrong with it is raised, with line and column.
---@param text string at most 256 KiB with its parts
---@param options? keystone.template.Options
---@return keystone.template.Template
function template.compile(text, options) end

--- Reads a template and renders it.
---@param text string
---@param data table?
---@param options? keystone.template.Options
---@return string
function template.render(text, data, options) end

--- A text as it may stand between tags and in quoted attributes.
---@param text string
---@return string
function template.escape(text) end

--- The text with the values of a table in it.
---@param data table?
---@return string
function compiled:render(data) end

return template
