package tenants

import (
	"slices"
	"strings"

	"github.com/keystone-gateway/keystone-gateway/tenants/policy/cors"
	"github.com/keystone-gateway/keystone-gateway/upstream"
)

// WarnOfGRPCWeb tells of gRPC-Web that is asked for in vain: no target could take what it
// becomes, or pages of other origins couldn't read how a call has ended.
func (c *Config) WarnOfGRPCWeb(warn func(field any, format string, args ...any)) {
	if !c.GRPC.Web {
		return
	}
	speaks := func(p Pool) bool {
		return slices.ContainsFunc(p.Services, func(s upstream.ServiceConfig) bool { return s.MaySpeakHTTP2() })
	}
	if !slices.ContainsFunc(c.AllPools(), speaks) {
		warn(&c.GRPC.Web, "grpc.web of tenant %q is for no target: gRPC needs HTTP/2; expected a service with a url that begins with grpc://, grpcs://, h2c:// or h2://", c.Name)
	}
	c.eachList(func(list *[]Policy, at string) {
		for i := range *list {
			if p := (*list)[i].CORS; p != nil {
				warnOfUnexposed(p, c.policyAt(at, i), warn)
			}
		}
	})
}

// statusFields say how a call has ended whose response has nothing but a status.
var statusFields = []string{"grpc-status", "grpc-message"}

func warnOfUnexposed(p *cors.Config, at string, warn func(field any, format string, args ...any)) {
	missing := slices.DeleteFunc(slices.Clone(statusFields), func(name string) bool {
		return slices.ContainsFunc(p.Expose, func(exposed string) bool { return exposed == "*" || strings.EqualFold(exposed, name) })
	})
	if len(missing) == 0 {
		return
	}
	field := any(p)
	if len(p.Expose) > 0 {
		field = &p.Expose
	}
	warn(field, "%s: cors doesn't let scripts read %s, and grpc.web is set: they can't tell how a call has ended whose response is a status alone; expected expose with grpc-status and grpc-message", at, strings.Join(missing, " and "))
}
