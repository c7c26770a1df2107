package main

import (
	"cmp"
	"context"
	"fmt"
	"hash/fnv"
	"io"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// e2e is where the tests are that run the gateway's binary.
const e2e = "./test"

// bench is where the mutants of one package are judged.
type bench struct {
	*options
	pkg         *source
	schema      *schema
	record      *record
	equivalents map[string]string
	out         io.Writer

	mutex   sync.Mutex // guards what workers share: record, out, covered
	covered map[int]bool
}

// judgeAll lets the package's own tests judge, then those of others what its
// own haven't noticed.
func (b *bench) judgeAll(ctx context.Context) error {
	overlay, err := b.schema.write(filepath.Join(b.record.dir, "schema"))
	if err != nil {
		return err
	}
	suites := append([]string{"./" + b.pkg.relative()}, b.also...)
	b.covered = map[int]bool{}
	judged := map[string]bool{} // in this run, by an earlier suite
	for _, named := range suites {
		pattern, only, _ := strings.Cut(named, ":")
		s, err := b.newSuite(ctx, pattern, only, overlay, filepath.Join(b.record.dir, strings.ReplaceAll(pattern[2:], "/", "_")))
		if err != nil {
			return err
		}
		for _, test := range s.Tests {
			for _, id := range test.Reaches {
				b.covered[id] = b.covered[id] || !test.Fails
			}
		}
		todo := b.todo(judged)
		b.each(ctx, len(todo), func(i int) { b.judge(ctx, s, todo[i]) })
		for _, site := range todo {
			judged[site.key] = true
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	return nil
}

// todo returns the mutants of the sample that have to be judged: those that
// nobody has judged, and those that other suites of this run have let pass.
func (b *bench) todo(judged map[string]bool) (todo []*site) {
	for _, site := range b.chosen() {
		switch verdict := b.record.verdict(site.key); {
		case !b.covered[site.id]: // by tests that judge now
		case verdict == "" && !b.again, verdict == survived && (b.again || judged[site.key]):
			todo = append(todo, site)
		}
	}
	slices.SortFunc(todo, func(x, y *site) int { return cmp.Compare(b.rank(x), b.rank(y)) }) // so that those of a run that is interrupted are a sample too
	return todo
}

// chosen is the sample: of the mutants that tests reach and that aren't known
// to be equivalent, those that the seed puts first. A larger sample holds each
// smaller one.
func (b *bench) chosen() (list []*site) {
	matching := regexp.MustCompile(b.function)
	for _, site := range b.schema.sites {
		known := b.covered[site.id] || b.record.verdict(site.key) != ""
		if known && b.equivalents[site.key] == "" && matching.MatchString(site.function) {
			list = append(list, site)
		}
	}
	if b.sample > 0 && b.sample < len(list) {
		slices.SortFunc(list, func(x, y *site) int { return cmp.Compare(b.rank(x), b.rank(y)) })
		list = list[:b.sample]
	}
	return list
}

func (b *bench) rank(s *site) uint64 {
	h := fnv.New64a()
	_, _ = fmt.Fprintf(h, "%d %s", b.seed, s.key)
	return h.Sum64()
}

// quick is how long a test may take to be run together with others.
const quick = 300 * time.Millisecond

// judge runs the tests that reach a mutant until one fails.
func (b *bench) judge(ctx context.Context, s *suite, m *site) {
	var tests []string
	for name, c := range s.Tests {
		if _, reaches := slices.BinarySearch(c.Reaches, m.id); reaches && !c.Fails && (b.longest == 0 || c.CPU <= b.longest) {
			tests = append(tests, name)
		}
	}
	slices.SortFunc(tests, func(x, y string) int {
		return cmp.Or(cmp.Compare(s.Tests[x].Took, s.Tests[y].Took), strings.Compare(x, y))
	})
	verdict, by := survived, strconv.Itoa(len(tests))+" tests"
	for len(tests) > 0 {
		n, took, cpu := 0, time.Duration(0), time.Duration(0)
		for n == 0 || n < len(tests) && s.Tests[tests[n]].Took < quick && took < 4*quick {
			took += s.Tests[tests[n]].Took
			cpu += s.Tests[tests[n]].CPU
			n++
		}
		r := s.run(ctx, tests[:n], b.patience+multiple*took, b.cpu+multiple*cpu, "KEYSTONE_MUTANT="+strconv.Itoa(m.id))
		if ctx.Err() != nil {
			return
		}
		if r.hung {
			verdict, by = hung, strings.Join(tests[:n], " ")
			break
		}
		if r.failed {
			verdict, by = killed, r.by
			break
		}
		tests = tests[n:]
	}
	b.mutex.Lock()
	defer b.mutex.Unlock()
	if verdict == survived {
		_, _ = fmt.Fprintf(b.out, "%s:%d: %s (%s of %s)\n", filepath.Base(m.position.Filename), m.position.Line, m.key, by, s.name)
	}
	b.record.decide(m.key, verdict, s.name+" "+by)
}

// score is what came of a package.
type score struct{ sites, covered, killed, hung, survived, equivalent int }

func (s score) percent() float64 {
	judged := s.killed + s.hung + s.survived
	if judged == 0 {
		return 100
	}
	return 100 * float64(s.killed+s.hung) / float64(judged)
}

// report counts, and lists what has survived if that is all that was asked.
func (b *bench) report() score {
	s := score{sites: len(b.schema.sites), covered: len(b.covered)}
	exists := map[string]bool{}
	for _, site := range b.schema.sites {
		if exists[site.key] = true; b.equivalents[site.key] != "" {
			s.equivalent++
		}
	}
	for key := range b.equivalents {
		if strings.HasPrefix(key, b.pkg.relative()+" ") && !exists[key] {
			_, _ = fmt.Fprintf(b.out, "equivalent.txt has a mutant that there isn't: %s\n", key)
		}
	}
	chosen := b.chosen()
	slices.SortFunc(chosen, func(x, y *site) int { return x.id - y.id })
	for _, site := range chosen {
		switch b.record.verdict(site.key) {
		case killed:
			s.killed++
		case hung:
			s.hung++
		case survived:
			s.survived++
			if b.list {
				_, _ = fmt.Fprintf(b.out, "%s:%d: %s\n", filepath.Base(site.position.Filename), site.position.Line, site.key)
			}
		}
	}
	_, _ = fmt.Fprintf(b.out, "%s: %.1f %% killed: %d by a failure, %d by a hang, %d survived; of %d mutants tests reach %d, %d are equivalent\n",
		b.pkg.relative(), s.percent(), s.killed, s.hung, s.survived, s.sites, s.covered, s.equivalent)
	return s
}
