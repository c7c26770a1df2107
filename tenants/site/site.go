package site

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"syscall"
	"unicode/utf8"

	"github.com/keystone-gateway/keystone-gateway/proxy/files"
)

// Why there is no file to serve.
var (
	// ErrNotFound is of a name that nothing has, or nothing that is served.
	ErrNotFound = errors.New("there is no such file")
	// ErrDirectory is of a directory with an index, named without the slash at the end
	// from which the links in the index start.
	ErrDirectory = errors.New("it is a directory")
)

// Site serves one directory. It doesn't change; any number of goroutines may use it.
type Site struct {
	root, fallback string
	index          []string
	codings        []string
}

// New returns the site of a section that has been loaded.
func New(c *Config) *Site {
	return &Site{root: c.root, fallback: strings.TrimPrefix(c.Fallback, "/"), index: c.Index, codings: c.Precompressed}
}

// Codings are those of which there may be variants, the preferred one first.
func (s *Site) Codings() []string { return s.codings }

// Open opens the file that a name leads to, below the directory and without a slash
// before it; with one at its end, or as "", it is a directory's. accepts chooses one of some
// codings, -1 for none of them. The caller closes the file.
func (s *Site) Open(name string, accepts func(of []string) int) (*File, error) {
	file, err := s.find(name, accepts)
	if errors.Is(err, ErrNotFound) && s.fallback != "" {
		if other, failed := s.open(s.fallback, accepts); failed == nil {
			return other, nil
		}
	}
	return file, err
}

func (s *Site) find(name string, accepts func(of []string) int) (*File, error) {
	directory := name == "" || strings.HasSuffix(name, "/")
	bare := strings.TrimSuffix(name, "/")
	if bare != "" && !servable(bare) {
		return nil, ErrNotFound
	}
	if directory {
		return s.openIndex(bare, accepts)
	}
	file, err := s.open(bare, accepts)
	if !errors.Is(err, files.ErrDirectory) {
		return file, err
	}
	if file, err = s.openIndex(bare, nil); err != nil {
		return nil, err
	}
	file.Close()
	return nil, ErrDirectory
}

// openIndex opens the index of a directory; "" is the root's.
func (s *Site) openIndex(directory string, accepts func(of []string) int) (*File, error) {
	if directory != "" {
		directory += "/"
	}
	var first error
	for _, index := range s.index {
		file, err := s.open(directory+index, accepts)
		if err == nil {
			return file, nil
		}
		if first == nil || !errors.Is(err, ErrNotFound) && !errors.Is(err, files.ErrDirectory) {
			first = err
		}
	}
	if first == nil || errors.Is(first, files.ErrDirectory) {
		return nil, ErrNotFound
	}
	return nil, first
}

// open opens a file, or the variant of it that is accepted.
func (s *Site) open(name string, accepts func(of []string) int) (*File, error) {
	kind := typeOf(name)
	varies := kind.compresses && len(s.codings) > 0
	if varies && accepts != nil {
		if file := s.openVariant(name, kind, accepts); file != nil {
			return file, nil
		}
	}
	opened, err := files.Open(s.root, name)
	if err != nil {
		return nil, reason(err)
	}
	return newFile(opened, kind, "", varies), nil
}

// openVariant opens a variant of a file that is there itself; nil is none.
func (s *Site) openVariant(name string, kind *mediaType, accepts func(of []string) int) *File {
	left := s.codings
	for len(left) > 0 {
		i := accepts(left)
		if i < 0 {
			return nil
		}
		coding := left[i]
		if opened, err := files.Open(s.root, name+suffixes[coding]); err == nil {
			if files.Is(s.root, name) {
				return newFile(opened, kind, coding, true)
			}
			opened.Close()
			return nil
		}
		left = append(append([]string(nil), left[:i]...), left[i+1:]...)
	}
	return nil
}

// reason says of what there is nothing that clients may know of.
func reason(err error) error {
	switch {
	case errors.Is(err, files.ErrDirectory):
		return err
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, fs.ErrPermission), errors.Is(err, files.ErrNotRegular), errors.Is(err, files.ErrOutside), files.IsStrayed(err),
		errors.Is(err, syscall.ENOTDIR), errors.Is(err, syscall.ENAMETOOLONG), errors.Is(err, syscall.ELOOP):
		return fmt.Errorf("%w: %w", ErrNotFound, err)
	}
	return err
}

// mostName bounds the names that are looked for.
const mostName = 4 << 10

// servable reports whether a name may be one that is served: a path without a slash at
// either end, of which no segment is empty, begins with a dot, or has what no name of a
// file for the web has.
func servable(name string) bool {
	if name == "" || len(name) > mostName || !utf8.ValidString(name) {
		return false
	}
	first := true
	for segment := range strings.SplitSeq(name, "/") {
		if segment == "" || segment[0] == '.' && (!first || segment != ".well-known") {
			return false
		}
		first = false
	}
	return strings.IndexFunc(name, func(r rune) bool { return r < ' ' || r == 0x7f || r == '\\' }) < 0
}
