package proxy

import (
	"slices"
	"strings"
	"time"

	"github.com/keystone-gateway/keystone-gateway/proxy/cause"
)

// BrokenFile is one besides certificates that is looked at while the gateway runs, and
// can't be used as it is now: what was read before is in use.
type BrokenFile struct {
	Purpose string // what it is for: one of FilePurposes
	Path    string
	Error   string
	Since   time.Time
}

// FilePurposes are what such files are for, by the keys that name them.
var FilePurposes = [...]string{"client_tls", "tickets"}

// BrokenFiles lists them, by their paths.
func (s *Server) BrokenFiles() (list []BrokenFile) {
	for _, b := range s.current.Load().terms.Broken(time.Now()) {
		list = append(list, BrokenFile{FilePurposes[0], b.Path, cause.Text(b.Err), b.Since})
	}
	if path, since, err := s.ticketFile.Broken(); err != nil {
		list = append(list, BrokenFile{FilePurposes[1], path, cause.Text(err), since})
	}
	slices.SortFunc(list, func(a, b BrokenFile) int { return strings.Compare(a.Path+"\x00"+a.Error, b.Path+"\x00"+b.Error) })
	return slices.CompactFunc(list, func(a, b BrokenFile) bool { return a.Path == b.Path && a.Error == b.Error })
}
