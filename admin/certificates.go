package admin

import (
	"slices"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/keystone-gateway/keystone-gateway/proxy/cause"
	"github.com/keystone-gateway/keystone-gateway/proxy/listener/certificates"
)

// certificateView is one certificate. All keys are always present.
type certificateView struct {
	Cert     string    `json:"cert"`
	Key      string    `json:"key"`
	Names    []string  `json:"names"`
	Kind     string    `json:"kind"`
	NotAfter time.Time `json:"not_after"`
	Days     float64   `json:"days_left"` // negative: it has ended
	Default  bool      `json:"default"`
}

// certificateProblem is a pair of files, or a directory, that can't be used.
type certificateProblem struct {
	Cert  string `json:"cert"` // or the directory
	Key   string `json:"key"`
	Kept  bool   `json:"kept"` // what was read before is in use
	Error string `json:"error"`
}

type certificatesView struct {
	Certificates []certificateView    `json:"certificates"` // by what is left of them
	Problems     []certificateProblem `json:"problems"`
	Ordered      []orderedView        `json:"acme"`
}

func (a *API) getCertificates(ctx *fasthttp.RequestCtx) {
	view := certificatesView{[]certificateView{}, []certificateProblem{}, describeOrdered(a.server.ACME().Status(), time.Now())}
	if set := a.server.Certificates(); set != nil {
		view.describe(set, time.Now())
	}
	reply(ctx, fasthttp.StatusOK, &view)
}

func (v *certificatesView) describe(set *certificates.Set, now time.Time) {
	all := set.All()
	for i, c := range all {
		v.Certificates = append(v.Certificates, certificateView{
			Cert: c.Pair.Cert, Key: c.Pair.Key, Names: c.Names, Kind: c.Kind.String(),
			NotAfter: c.NotAfter.UTC(), Days: daysLeft(c.NotAfter, now), Default: i == 0,
		})
	}
	slices.SortStableFunc(v.Certificates, func(a, b certificateView) int { return a.NotAfter.Compare(b.NotAfter) })
	for i := range set.Problems {
		p := &set.Problems[i]
		v.Problems = append(v.Problems, certificateProblem{p.Pair.Cert, p.Pair.Key, p.Kept, cause.Text(p.Err)})
	}
}

// daysLeft has two decimals.
func daysLeft(end, now time.Time) float64 {
	const hundredth = 24 * time.Hour / 100
	return float64(end.Sub(now)/hundredth) / 100
}

// maxCertificateSeries bounds the certificates that have a series of their own:
// those that end first.
const maxCertificateSeries = 100

// certificates are figures of those of clients.
func (m *scrape) certificates(set *certificates.Set) {
	if set == nil {
		return
	}
	all := slices.SortedFunc(slices.Values(set.All()), func(a, b *certificates.Certificate) int { return a.NotAfter.Compare(b.NotAfter) })
	m.family("keystone_certificates", gauge, "Certificates for clients.")
	m.int(int64(len(all)))
	m.family("keystone_certificates_broken", gauge, "Certificates and directories of them that can't be used, or of which the last good content is.")
	m.int(int64(len(set.Problems)))
	m.family("keystone_certificate_days_left", gauge, "Days until a certificate ends, of the 100 that end first.")
	now := time.Now()
	for _, c := range all[:min(len(all), maxCertificateSeries)] {
		m.float(daysLeft(c.NotAfter, now), label("cert", c.Pair.Cert))
	}
}
