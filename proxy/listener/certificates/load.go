package certificates

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"

	"github.com/keystone-gateway/keystone-gateway/proxy/files"
)

// Source says where certificates are. Paths are absolute, or start from the
// working directory.
type Source struct {
	// Files are pairs, the default first.
	Files []Pair
	// Directories are looked through for pairs, and so are the directories in them.
	Directories []string
}

// Problem is a pair or a directory that can't be used.
type Problem struct {
	Pair Pair // Cert is the path of a directory, and Key "", where that can't be read
	// Listed is the index in Source.Files; -1 for what is in Source.Directories.
	Listed int
	// Kept says that what was read before stays in use.
	Kept bool
	Err  error
}

// Error says which files, and what is wrong with them.
func (p *Problem) Error() string {
	if p.Pair.Key == "" {
		return fmt.Sprintf("cannot read the directory %q: %v", p.Pair.Cert, p.Err)
	}
	return fmt.Sprintf("cannot use certificate %q with key %q: %v", p.Pair.Cert, p.Pair.Key, p.Err)
}

func (p *Problem) Unwrap() error { return p.Err }

// stamps are those of a pair's files.
type stamps = [2]files.Stamp

// intern keeps one of each part that many chains have: what has issued them.
type intern struct {
	mu    sync.Mutex
	known map[string][]byte
}

// of returns a copy that holds on to nothing else.
func (in *intern) of(der []byte, shared bool) []byte {
	if !shared {
		return slices.Clone(der)
	}
	in.mu.Lock()
	defer in.mu.Unlock()
	if known := in.known[string(der)]; known != nil {
		return known
	}
	copied := slices.Clone(der)
	in.known[string(der)] = copied
	return copied
}

// wanted is a pair that a source has, and what has become of it.
type wanted struct {
	pair   Pair
	listed int
	result *Certificate
	err    error
	stamps stamps // of the files as they are now
	wait   bool   // they have changed just now, and are read once they are left alone
	gone   bool   // so are they removed
}

// Load reads what a source has. Of last, which may be nil, it takes over what
// hasn't changed, and keeps what can't be read any more. Settled says that files
// that have changed since are read only if the look before found them the same:
// whoever writes two files writes one after the other.
func Load(source Source, last *Set, settled bool) *Set {
	if last == nil {
		last = newSet(nil, &bound{})
	}
	list, problems := source.pairs(last, settled)
	shared := &intern{known: map[string][]byte{}}
	for _, c := range last.all {
		for _, part := range c.chain[1:] {
			shared.known[string(part)] = part
		}
	}
	var wait sync.WaitGroup
	var next sync.Mutex
	at := 0
	for range runtime.GOMAXPROCS(0) {
		wait.Go(func() {
			for {
				next.Lock()
				from := at
				at = min(at+64, len(list))
				to := at
				next.Unlock()
				if from == to {
					return
				}
				for i := from; i < to; i++ {
					list[i].load(last, settled, shared)
				}
			}
		})
	}
	wait.Wait()
	return compose(list, problems, last)
}

// load reads a pair, or takes over what is known of it.
func (w *wanted) load(last *Set, settled bool, shared *intern) {
	known := last.known[w.pair]
	if w.gone {
		w.result, w.wait = known, true
		return
	}
	for i, path := range []string{w.pair.Cert, w.pair.Key} {
		if w.stamps[i], w.err = files.Look(path); w.err != nil {
			w.result = known
			return
		}
	}
	if before := last.stamps[w.pair]; known != nil && before[0].Certain(w.stamps[0]) && before[1].Certain(w.stamps[1]) {
		w.result, w.stamps = known, before
		return
	}
	if before, seen := last.seen[w.pair]; settled && (!seen || !before[0].Like(w.stamps[0]) || !before[1].Like(w.stamps[1])) {
		w.result, w.wait = known, true
		return
	}
	fresh, err := read(w.pair, shared)
	if w.err = err; err != nil || known != nil && fresh.equal(known) {
		w.result = known
		return
	}
	w.result = fresh
}

func (c *Certificate) equal(other *Certificate) bool {
	return string(c.key) == string(other.key) && slices.EqualFunc(c.chain, other.chain, func(a, b []byte) bool { return string(a) == string(b) })
}

// compose makes a set of what was loaded.
func compose(list []wanted, problems []Problem, last *Set) *Set {
	all := make([]*Certificate, 0, len(list))
	read, seen := make(map[Pair]stamps, len(list)), map[Pair]stamps{}
	for i := range list {
		w := &list[i]
		if w.result != nil {
			all = append(all, w.result)
		}
		switch {
		case w.wait || w.err != nil:
			seen[w.pair], read[w.pair] = w.stamps, last.stamps[w.pair]
		default:
			read[w.pair] = w.stamps
		}
		if w.err != nil {
			problems = append(problems, Problem{w.pair, w.listed, w.result != nil, w.err})
		}
	}
	var s *Set
	if slices.Equal(all, last.all) { // as nearly always
		copied := *last
		s = &copied
	} else {
		s = newSet(all, last.bound)
	}
	s.Problems, s.stamps, s.seen = problems, read, seen
	return s
}

// errEmptied says that the last pair of a directory has gone: what was mounted there,
// it may be.
var errEmptied = errors.New("it has no certificates any more")

// pairs lists what a source has. What can't be listed any more is kept; what was
// removed is, if settled, until the next look.
func (s *Source) pairs(last *Set, settled bool) (list []wanted, problems []Problem) {
	known := map[Pair]bool{}
	add := func(pair Pair, listed int) {
		if !known[pair] {
			known[pair] = true
			list = append(list, wanted{pair: pair, listed: listed})
		}
	}
	for i, pair := range s.Files {
		add(pair, i)
	}
	for _, dir := range s.Directories {
		dir = filepath.Clean(dir)
		found, err := pairsIn(dir, true)
		if err == nil && len(found) > maxPairs {
			err = fmt.Errorf("it has more than %d certificates", maxPairs)
		}
		before := slices.DeleteFunc(last.below(dir), func(pair Pair) bool { return known[pair] }) // those are others'
		if err == nil && len(found) == 0 && len(before) > 0 {
			err = errEmptied
		}
		if err != nil {
			problems = append(problems, Problem{Pair{Cert: dir}, -1, true, err})
			found = append(found, before...)
		}
		for _, pair := range found {
			add(pair, -1)
		}
		for _, pair := range before {
			if again, waited := last.seen[pair]; !known[pair] && settled && (!waited || again != stamps{}) {
				known[pair] = true
				list = append(list, wanted{pair: pair, listed: -1, gone: true})
			}
		}
	}
	return list, problems
}

// below lists the pairs of a directory.
func (s *Set) below(dir string) (list []Pair) {
	for _, c := range s.all {
		if strings.HasPrefix(c.Pair.Cert, dir+string(filepath.Separator)) {
			list = append(list, c.Pair)
		}
	}
	return list
}

// maxPairs bounds the certificates of a directory.
const maxPairs = 100_000

// certExtensions are those of the certificate beside NAME.key.
var certExtensions = []string{".crt", ".cert", ".pem"}

// pairsIn lists the pairs of a directory, in order: NAME.key with NAME.crt,
// NAME.cert or NAME.pem, and privkey.pem with fullchain.pem. Names that begin with
// a dot are left out: that is how files are written that aren't complete yet, and
// how Kubernetes keeps its generations. A key without a certificate is a pair too,
// that can't be read.
func pairsIn(dir string, deeper bool) ([]Pair, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		if wrapped, ok := errors.AsType[*fs.PathError](err); ok {
			err = wrapped.Err
		}
		return nil, err
	}
	names := make(map[string]bool, len(entries))
	for _, entry := range entries {
		names[entry.Name()] = true
	}
	var list []Pair
	for _, entry := range entries {
		name := entry.Name()
		path := filepath.Join(dir, name)
		stem, isKey := strings.CutSuffix(name, ".key")
		switch {
		case strings.HasPrefix(name, "."):
		case isKey:
			cert := stem + certExtensions[0]
			for _, extension := range certExtensions {
				if names[stem+extension] {
					cert = stem + extension
					break
				}
			}
			list = append(list, Pair{filepath.Join(dir, cert), path})
		case name == "privkey.pem":
			list = append(list, Pair{filepath.Join(dir, "fullchain.pem"), path})
		case deeper && isDirectory(entry, path):
			below, err := pairsIn(path, false)
			if err != nil {
				return nil, err
			}
			list = append(list, below...)
		}
	}
	return list, nil
}

// isDirectory follows links, as certbot and Kubernetes use them.
func isDirectory(entry fs.DirEntry, path string) bool {
	if entry.Type()&fs.ModeSymlink == 0 {
		return entry.IsDir()
	}
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}
