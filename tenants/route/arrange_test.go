package route_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/keystone-gateway/keystone-gateway/tenants/route"
)

func match(text string) *route.Match {
	if text == "" {
		return nil
	}
	m := &route.Match{}
	for word := range strings.FieldsSeq(text) {
		if strings.HasPrefix(word, "/") {
			m.PathPrefix = word
		} else {
			m.Domains = append(m.Domains, word)
		}
	}
	return m
}

// arranged words arrangements: what is served, or "-" and what is refused.
func arranged(list []route.Candidate) string {
	var words []string
	for i, a := range route.Arrange(list) {
		word := list[i].Name + "="
		switch a.Choice {
		case route.Fresh:
			word += "fresh"
		case route.Last:
			word += "last"
		case route.Nothing:
			if word += "-"; a.Refused != nil {
				word += strings.Join(a.Refused.Domains, ",") + a.Refused.PathPrefix
			}
		}
		if a.Conflict != nil {
			word += "!"
		}
		words = append(words, word)
	}
	return strings.Join(words, " ")
}

// TestArrange: what is in use goes before what is new, as wholes.
func TestArrange(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		list [][4]string // name, fresh, last, refused
		want string
	}{
		{"all new", [][4]string{{"a", "a.com", "", ""}, {"b", "b.com", "", ""}}, "a=fresh b=fresh"},
		{"the first of two has it", [][4]string{{"a", "x.com", "", "x.com"}, {"b", "x.com b.com", "", "x.com b.com"}}, "a=fresh b=-b.com!"},
		{"who has it keeps it", [][4]string{{"new", "x.com", "", "x.com"}, {"old", "x.com", "x.com", ""}}, "new=-! old=fresh"},
		{"a newcomer takes what another still has", [][4]string{{"new", "x.com", "n.com", ""}, {"old", "", "x.com", ""}}, "new=last! old=last"},
		{"given up and taken", [][4]string{{"a", "y.com", "x.com", ""}, {"b", "x.com", "b.com", ""}}, "a=fresh b=fresh"},
		{"swapped", [][4]string{{"a", "y.com", "x.com", ""}, {"b", "x.com", "y.com", ""}}, "a=fresh b=fresh"},
		{"swapped, one broken", [][4]string{{"a", "y.com", "x.com", ""}, {"b", "", "y.com", ""}}, "a=last! b=last"},
		{"a ring with one broken", [][4]string{{"a", "b.com", "a.com", ""}, {"b", "c.com", "b.com", ""}, {"c", "", "c.com", ""}}, "a=last! b=last! c=last"},
		{"a ring, the broken one first", [][4]string{{"c", "", "c.com", ""}, {"b", "c.com", "b.com", ""}, {"a", "b.com", "a.com", ""}}, "c=last b=last! a=last!"},
		{"removed and taken", [][4]string{{"b", "a.com", "b.com", ""}}, "b=fresh"},
		{"renamed, broken", [][4]string{{"renamed", "", "", "a.com"}}, "renamed=-a.com"},
		{"broken without a past", [][4]string{{"a", "", "", "a.com *.a.com"}, {"b", "/", "", ""}}, "a=-a.com,*.a.com b=fresh"},
		{"broken, its match too", [][4]string{{"a", "", "", "a.com:80 ok.com"}, {"b", "", "", "/a%zz"}, {"c", "", "", "c.com /a%zz"}, {"d", "", "", ""}}, "a=-ok.com b=- c=-c.com d=-"},
		{"broken with a prefix", [][4]string{{"a", "", "", "/a"}, {"b", "/a", "", ""}}, "a=- b=fresh"},
		{"twice the same", [][4]string{{"a", "a.com A.com", "", "a.com A.com"}}, "a=-a.com!"},
		{"hybrid", [][4]string{{"a", "x.com /a", "", ""}, {"b", "x.com /b", "", ""}, {"c", "x.com /a", "x.com /c", ""}}, "a=fresh b=fresh c=last!"},
	} {
		var list []route.Candidate
		for _, row := range c.list {
			list = append(list, route.Candidate{Name: row[0], Fresh: match(row[1]), Last: match(row[2]), Refused: match(row[3])})
		}
		if got := arranged(list); got != c.want {
			t.Errorf("%s: got %s, expected %s", c.name, got, c.want)
		}
	}
}

// TestArrangeAnything: whatever is new and whatever is in use, there is a table
// of it, in which nobody who was served isn't.
func TestArrangeAnything(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2))
	for range 3000 {
		n := 1 + random.IntN(8)
		hosts := func(free []string, most int) (text string) {
			for range 1 + random.IntN(most) {
				if len(free) > 0 {
					text += free[random.IntN(len(free))] + " "
				}
			}
			return text
		}
		var list []route.Candidate
		for i := range n {
			c := route.Candidate{Name: fmt.Sprint("t", i)}
			if random.IntN(3) > 0 {
				c.Last = match(fmt.Sprintf("h%d.com g%d.com", i, i))
			}
			wanted := match(hosts([]string{"h0.com", "h1.com", "h2.com", "h3.com", "h4.com", "g0.com", "g1.com", "g2.com", "n.com"}, 2))
			if random.IntN(4) > 0 {
				c.Fresh = wanted
			}
			if c.Last == nil {
				c.Refused = wanted
			}
			list = append(list, c)
		}
		var entries []route.Entry[int]
		for i, a := range route.Arrange(list) {
			var m *route.Match
			switch a.Choice {
			case route.Fresh:
				m = list[i].Fresh
			case route.Last:
				m = list[i].Last
			case route.Nothing:
				if list[i].Last != nil {
					t.Fatalf("%s was served and isn't: %s", list[i].Name, arranged(list))
				}
				m = a.Refused
			}
			if m != nil {
				entries = append(entries, route.Entry[int]{Name: list[i].Name, Domains: m.Domains, PathPrefix: m.PathPrefix})
			}
		}
		if _, err := route.Build(entries); err != nil {
			t.Fatalf("%s: %v", arranged(list), err)
		}
	}
}

// TestArrangeSaysWhatIsWrong: whom a match conflicts with, in which of its
// domains, and whether that one is new itself. Who falls back gives up what it
// had taken, and holds what it keeps.
func TestArrangeSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	const once, last = "expected each match once", "whose last good configuration is still in use"
	for _, c := range []struct {
		name string
		list [][3]string // name, fresh, last
		want []string    // of those that are wrong: the index of the domain, the tenant, the other one, the match, why
	}{
		{"the second domain", [][3]string{{"a", "x.com", ""}, {"b", "b.com x.com", ""}}, []string{`1 b a x.com ` + once}},
		{"a prefix alone", [][3]string{{"a", "/p", ""}, {"b", "/p", ""}}, []string{`-1 b a /p ` + once}},
		{"its own", [][3]string{{"a", "x.com y.com X.com", ""}}, []string{`2 a a x.com ` + once}},
		{"one that is kept", [][3]string{{"old", "", "x.com"}, {"new", "n.com x.com", ""}}, []string{`1 new old x.com ` + last}},
		{"one that is still wanted", [][3]string{{"new", "x.com", ""}, {"old", "x.com", "x.com"}}, []string{`0 new old x.com ` + once}},
		{"one that is kept after all", [][3]string{{"c", "y.com", ""}, {"new", "m.com n.com x.com", ""}, {"old", "y.com", "x.com"}, {"free", "n.com", ""}, {"late", "x.com", ""}},
			[]string{`2 new old x.com ` + last, `0 old c y.com ` + once, `0 late old x.com ` + last}},
		{"a prefix that is kept after all", [][3]string{{"c", "/y", ""}, {"new", "/x", ""}, {"old", "/y", "/x"}},
			[]string{`-1 new old /x ` + last, `-1 old c /y ` + once}},
	} {
		var list []route.Candidate
		for _, row := range c.list {
			list = append(list, route.Candidate{Name: row[0], Fresh: match(row[1]), Last: match(row[2])})
		}
		var got, want []string
		for i, a := range route.Arrange(list) {
			if a.Conflict != nil {
				got = append(got, fmt.Sprintf("%d: %v", a.Wrong, a.Conflict))
			} else if list[i].Fresh != nil && a.Choice != route.Fresh {
				t.Errorf("%s: %s isn't fresh, for no reason", c.name, list[i].Name)
			}
		}
		for _, row := range c.want {
			w := strings.SplitN(row, " ", 5)
			claim := fmt.Sprintf("host %q and any path", w[3])
			if w[3][0] == '/' {
				claim = fmt.Sprintf("any host and path prefix %q", w[3])
			}
			want = append(want, fmt.Sprintf("%s: tenant %q has the same match as tenant %q (%s), %s", w[0], w[1], w[2], claim, w[4]))
		}
		if strings.Join(got, "\n") != strings.Join(want, "\n") {
			t.Errorf("%s: got\n%s\nwant\n%s", c.name, strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	}
}
