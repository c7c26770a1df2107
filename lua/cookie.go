package lua

import (
	glua "github.com/yuin/gopher-lua"

	"github.com/keystone-gateway/keystone-gateway/lua/modules"
)

// responseCookie is response:cookie{…}.
func responseCookie(L *glua.LState) int {
	c, n := self(L)
	c.addResponseHeader(L, "Set-Cookie", modules.CookieLine(L, n, c.req.Scheme == "https"))
	return 0
}
