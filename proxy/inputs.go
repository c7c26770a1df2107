package proxy

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/keystone-gateway/keystone-gateway/proxy/files"
)

// maxSecret bounds the file of a ${file:PATH}, in bytes.
const maxSecret = 64 << 10

// inputs are the files that a configuration is made of besides its own text. Each
// is read once, so that all of a generation is made of the same content. After
// Parse only their sums are kept, by which a reload finds out whether it has to
// read the configuration again although its text is the same.
type inputs struct {
	dir   string // which relative paths start from
	known map[string]*input
}

type input struct {
	limit   int64
	content []byte // until forget
	sum     [sha256.Size]byte
	err     error
}

func newInputs(dir string) *inputs { return &inputs{dir: dir, known: map[string]*input{}} }

// read returns the content of a regular file of at most limit bytes. The caller
// must not change it. The error says why not, without the path.
func (in *inputs) read(path string, limit int64) ([]byte, error) {
	path = filepath.Clean(inDir(in.dir, path))
	one := in.known[path]
	if one == nil || one.limit < limit {
		one = readInput(path, limit)
		in.known[path] = one
	}
	if one.err == nil && int64(len(one.content)) > limit {
		return nil, tooLarge(limit)
	}
	return one.content, one.err
}

// directory returns the absolute path of a directory. What is in it isn't remembered.
func (in *inputs) directory(path string) (string, error) {
	path, err := filepath.Abs(inDir(in.dir, path))
	if err != nil {
		return "", err //nolint:wrapcheck // the caller tells what it is about
	}
	status, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "", errors.New("there is no such directory")
	case err != nil:
		return "", errors.Unwrap(err)
	case !status.IsDir():
		return "", errors.New("it is not a directory")
	}
	return path, nil
}

// secret is the File of settings.Variables.
func (in *inputs) secret(path string) ([]byte, error) { return in.read(path, maxSecret) }

func readInput(path string, limit int64) *input {
	one := &input{limit: limit}
	content, err := files.Read(path, limit)
	switch {
	case err == nil:
		one.content, one.sum = content, sha256.Sum256(content)
	case errors.Is(err, fs.ErrNotExist):
		one.err = errors.New("there is no such file")
	case errors.Is(err, fs.ErrPermission):
		one.err = errors.New("the gateway's user may not read it")
	case errors.Is(err, files.ErrTooLarge):
		one.err = tooLarge(limit)
	default:
		one.err = err
		if wrapped, ok := errors.AsType[*fs.PathError](err); ok { // whose path the caller tells
			one.err = wrapped.Err
		}
	}
	return one
}

func tooLarge(limit int64) error {
	return fmt.Errorf("it is too large, expected at most %d bytes", limit)
}

// forget drops what was read.
func (in *inputs) forget() {
	for _, one := range in.known {
		one.content = nil
	}
}

// unchanged reads all files again and reports whether they are what they were.
func (in *inputs) unchanged() bool {
	if in == nil { // the configuration wasn't parsed
		return true
	}
	for path, one := range in.known {
		again := readInput(path, one.limit)
		if again.sum != one.sum || (again.err == nil) != (one.err == nil) {
			return false
		}
	}
	return true
}

// each calls f for the path of each file, in order.
func (in *inputs) each(f func(path string)) {
	if in == nil {
		return
	}
	for _, path := range slices.Sorted(maps.Keys(in.known)) {
		f(path)
	}
}
