package terms

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/keystone-gateway/keystone-gateway/proxy/files"
)

const (
	// maxAuthorities and maxList bound a file of each kind, in bytes.
	maxAuthorities = 4 << 20
	maxList        = 64 << 20
)

// authorities are who may have signed clients' certificates, with what they have
// revoked.
type authorities struct {
	roots *x509.CertPool
	lists map[string]*list // by the authority; nil: revocation isn't looked at
	sum   [sha256.Size]byte
}

// list is a certificate revocation list.
type list struct {
	path       string
	made, next time.Time // next is zero where it doesn't say
	revoked    map[string]struct{}
}

func readAuthorities(ask *Ask) (a authorities, problems []Problem) {
	a.roots = x509.NewCertPool()
	sum := sha256.New()
	var all []*x509.Certificate
	for _, path := range ask.CAFiles {
		list, err := readCertificates(path)
		if err != nil {
			problems = append(problems, Problem{path, err})
		}
		for _, c := range list {
			a.roots.AddCert(c)
			one := sha256.Sum256(c.Raw)
			_, _ = sum.Write(one[:])
		}
		all = append(all, list...)
	}
	sum.Sum(a.sum[:0])
	if len(ask.CRLFiles) == 0 {
		return a, problems
	}
	a.lists = map[string]*list{}
	for _, path := range ask.CRLFiles {
		if err := a.addLists(path, all); err != nil {
			problems = append(problems, Problem{path, err})
		}
	}
	return a, problems
}

// readCertificates reads a PEM file, all of which must be readable.
func readCertificates(path string) (list []*x509.Certificate, err error) {
	content, err := files.Read(path, maxAuthorities)
	if err != nil {
		return nil, err
	}
	for block, rest := pem.Decode(content); block != nil; block, rest = pem.Decode(rest) {
		if strings.HasSuffix(block.Type, "PRIVATE KEY") {
			return nil, errors.New("it holds a private key, expected certificates only")
		}
		if block.Type != "CERTIFICATE" {
			continue
		}
		certificate, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("its certificate number %d can't be read: %w", len(list)+1, err)
		}
		list = append(list, certificate)
	}
	if len(list) == 0 {
		return nil, errors.New("it holds no certificate, expected some as PEM (-----BEGIN CERTIFICATE-----)")
	}
	return list, nil
}

// addLists reads a file of revocation lists, as PEM, or one as DER.
func (a *authorities) addLists(path string, by []*x509.Certificate) error {
	content, err := files.Read(path, maxList)
	if err != nil {
		return err
	}
	found := 0
	for block, rest := pem.Decode(content); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "X509 CRL" {
			continue
		}
		if found++; found == 1 {
			content = nil
		}
		if err := a.addList(path, block.Bytes, by); err != nil {
			return fmt.Errorf("its list number %d: %w", found, err)
		}
	}
	if found > 0 {
		return nil
	}
	if len(content) == 0 || content[0] != 0x30 { // SEQUENCE
		return errors.New("it holds no revocation list, expected one as PEM (-----BEGIN X509 CRL-----) or DER")
	}
	return a.addList(path, content, by)
}

// What a revocation list may not have, since it then isn't all that there is to
// know of its authority (RFC 5280 §5.2.4, §5.2.5).
var errPartial = errors.New("it has a critical extension (a partial, indirect or delta list), expected a complete list")

func (a *authorities) addList(path string, der []byte, by []*x509.Certificate) error {
	parsed, err := x509.ParseRevocationList(der)
	if err != nil {
		return err
	}
	for _, extension := range parsed.Extensions {
		if extension.Critical {
			return errPartial
		}
	}
	var owner *x509.Certificate
	for _, c := range by {
		if string(c.RawSubject) == string(parsed.RawIssuer) && parsed.CheckSignatureFrom(c) == nil {
			owner = c
			break
		}
	}
	if owner == nil {
		return fmt.Errorf("it is of %q, and signed by none of ca_files", parsed.Issuer)
	}
	fresh := &list{path: path, made: parsed.ThisUpdate, next: parsed.NextUpdate, revoked: make(map[string]struct{}, len(parsed.RevokedCertificateEntries))}
	for i := range parsed.RevokedCertificateEntries {
		entry := &parsed.RevokedCertificateEntries[i]
		for _, extension := range entry.Extensions {
			if extension.Critical {
				return errPartial
			}
		}
		fresh.revoked[string(entry.SerialNumber.Bytes())] = struct{}{}
	}
	key := ownerOf(owner)
	if before := a.lists[key]; before == nil || fresh.made.After(before.made) {
		a.lists[key] = fresh
	}
	return nil
}

// ownerOf tells an authority by its name and its key, whatever certificate it has.
func ownerOf(c *x509.Certificate) string {
	return string(c.RawSubject) + string(c.RawSubjectPublicKeyInfo)
}

// chains verifies a client's certificate, the first of those that it has sent.
func (a *authorities) chains(sent []*x509.Certificate, now time.Time) ([][]*x509.Certificate, error) {
	between := x509.NewCertPool()
	for _, c := range sent[1:] {
		between.AddCert(c)
	}
	return sent[0].Verify(x509.VerifyOptions{
		Roots: a.roots, Intermediates: between, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
}

// Why a certificate is refused although its signatures are good.
var (
	errRevoked = errors.New("the client's certificate is revoked (crl_files)")
	errNoList  = errors.New("the client's certificate, or one that has signed it, is of an authority of which crl_files have no list")
	errOldList = errors.New("the revocation list of the client's certificate's authority has ended, expected a newer one in crl_files")
)

// unrevoked returns the first chain in which no certificate is revoked. Each needs
// its authority's list, as far as there are lists at all.
func (a *authorities) unrevoked(chains [][]*x509.Certificate, now time.Time) ([]*x509.Certificate, error) {
	err := errNoList
	for _, chain := range chains {
		if err = a.look(chain, now); err == nil {
			return chain, nil
		}
	}
	return nil, err
}

func (a *authorities) look(chain []*x509.Certificate, now time.Time) error {
	if a.lists == nil {
		return nil
	}
	for i, c := range chain[:len(chain)-1] {
		list := a.lists[ownerOf(chain[i+1])]
		if list == nil {
			return errNoList
		}
		if _, revoked := list.revoked[string(c.SerialNumber.Bytes())]; revoked {
			return errRevoked
		}
		if !list.next.IsZero() && now.After(list.next) {
			return errOldList
		}
	}
	return nil
}
