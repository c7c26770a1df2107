package admin

import (
	"time"

	"github.com/keystone-gateway/keystone-gateway/proxy"
)

// brokenFile is one that can't be used as it is now. All keys are always present.
type brokenFile struct {
	File    string    `json:"file"`
	Purpose string    `json:"purpose"` // the key that names it: "client_tls" or "tickets"
	Since   time.Time `json:"since"`
	Error   string    `json:"error"`
}

// maxBrokenFiles bounds what is told of single ones.
const maxBrokenFiles = 100

func (a *API) brokenFiles() []brokenFile {
	list := []brokenFile{}
	for _, f := range a.server.BrokenFiles() {
		if len(list) == maxBrokenFiles {
			break
		}
		list = append(list, brokenFile{f.Path, f.Purpose, f.Since.UTC(), f.Error})
	}
	return list
}

// files are figures of files that can't be used.
func (m *scrape) files(list []proxy.BrokenFile) {
	m.family("keystone_files_broken", gauge, "Files of clients' authorities, of what they have revoked, and of the secret of tickets, that can't be used as they are.")
	for _, purpose := range proxy.FilePurposes {
		n := int64(0)
		for i := range list {
			if list[i].Purpose == purpose {
				n++
			}
		}
		m.int(n, label("purpose", purpose))
	}
}
