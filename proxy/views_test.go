package proxy

import (
	"testing"

	"github.com/keystone-gateway/keystone-gateway/lua"
)

// TestPublicHealth: requests below the base path are asked about, no other one.
func TestPublicHealth(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		compatibility, path, want string
	}{
		{"", "/admin/health", "/health"}, {"", "/admin/health/", "/health/"}, {"", "/admin/", "/"}, {"", "/admin", ""}, {"", "/administrator", ""}, {"", "/adminx/health", ""}, {"", "/other/health", ""}, {"", "/", ""}, {"", "", ""},
		{Keystone1, "/admin/health/", "/health"}, {Keystone1, "/admin/health", "/health"}, {Keystone1, "/admin/health//", "/health/"},
	} {
		s := new(Server)
		answer := s.publicHealth(&Config{AdminBasePath: "/admin", Compatibility: c.compatibility})
		if _, _, ok := answer([]byte("GET"), []byte(c.path)); ok {
			t.Errorf("%q is answered before anybody can", c.path)
		}
		asked := ""
		s.SetHealthAnswer(func(method, path string) (int, []byte, bool) { asked = method + path; return 207, []byte("x"), true })
		status, body, ok := answer([]byte("HEAD"), []byte(c.path))
		want := c.want
		if want != "" {
			want = "HEAD" + want
		}
		if asked != want || ok != (want != "") || ok && (status != 207 || string(body) != "x") {
			t.Errorf("of %q, %q is asked, want %q", c.path, asked, want)
		}
	}
}

// TestTenantViews: whether a tenant is served as it should be.
func TestTenantViews(t *testing.T) {
	t.Parallel()
	for state, refused := range map[string]bool{Misconfigured: true, Loading: true, Outdated: false, Unloadable: false} {
		v := TenantView{Problem: &Problem{State: state}}
		if v.Refused() != refused {
			t.Errorf("a tenant that is %s is refused: %v", state, v.Refused())
		}
	}
	if v := (TenantView{}); v.Refused() || !v.Healthy() {
		t.Error("a tenant without problems and targets is refused, or unhealthy")
	}
	problem := &Problem{}
	one := &tenant{problem: problem}
	if one.problemNow() != problem || (&tenant{}).problemNow() != nil {
		t.Error("a problem isn't the one that is known")
	}
	if one.Scripts = new(lua.Scripts); one.problemNow() != problem {
		t.Error("with scripts, a problem isn't the one that is known")
	}
}
