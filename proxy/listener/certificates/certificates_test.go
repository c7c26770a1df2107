package certificates_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/keystone-gateway/keystone-gateway/proxy/listener/certificates"
)

var (
	ecKey  = sync.OnceValue(func() crypto.Signer { return must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)) })
	rsaKey = sync.OnceValue(func() crypto.Signer { return must(rsa.GenerateKey(rand.Reader, 2048)) })
)

func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

// write writes a certificate for some names as NAME.crt and NAME.key, and returns
// their paths. It ends in so many days.
func write(t testing.TB, dir, name string, key crypto.Signer, days int, names ...string) certificates.Pair {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(int64(days)), Subject: pkix.Name{CommonName: name}, DNSNames: names,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Duration(days) * 24 * time.Hour),
	}
	der := must(x509.CreateCertificate(rand.Reader, template, template, key.Public(), key))
	pair := certificates.Pair{Cert: filepath.Join(dir, name+".crt"), Key: filepath.Join(dir, name+".key")}
	put(t, pair.Cert, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	put(t, pair.Key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: must(x509.MarshalPKCS8PrivateKey(key))}))
	return pair
}

func put(t testing.TB, path string, content []byte) {
	t.Helper()
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
}

func load(t testing.TB, source certificates.Source) *certificates.Set {
	t.Helper()
	set := certificates.Load(source, nil, false)
	for i := range set.Problems {
		t.Fatal(set.Problems[i].Error())
	}
	return set
}

// nameOf is the common name of what a client gets: the name of its files.
func nameOf(t testing.TB, set *certificates.Set, hello *tls.ClientHelloInfo) string {
	t.Helper()
	certificate, err := set.Choose(hello)
	if err != nil {
		return err.Error()
	}
	return must(x509.ParseCertificate(certificate.Certificate[0])).Subject.CommonName
}

func modern(name string) *tls.ClientHelloInfo {
	return &tls.ClientHelloInfo{
		ServerName: name, SupportedVersions: []uint16{tls.VersionTLS13, tls.VersionTLS12},
		SignatureSchemes: []tls.SignatureScheme{tls.PSSWithSHA256, tls.ECDSAWithP256AndSHA256},
	}
}

// TestChoose asks for names, and for kinds of keys.
func TestChoose(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	set := load(t, certificates.Source{Files: []certificates.Pair{
		write(t, dir, "default", ecKey(), 30, "default.example"),
		write(t, dir, "exact", ecKey(), 30, "a.shop.example", "Shop.Example"),
		write(t, dir, "wild", ecKey(), 30, "*.shop.example"),
		write(t, dir, "both-rsa", rsaKey(), 30, "both.example"),
		write(t, dir, "both-ec", ecKey(), 30, "both.example"),
		write(t, dir, "soon", ecKey(), 1, "twice.example"),
		write(t, dir, "later", ecKey(), 60, "twice.example"),
		write(t, dir, "sooner", ecKey(), 1, "twice.example"),
		write(t, dir, "default-rsa", rsaKey(), 30, "default.example"),
	}})
	for name, want := range map[string]string{
		"": "default", "default.example": "default", "unknown.example": "default", "example": "default", "192.0.2.1": "default",
		"shop.example": "exact", "SHOP.exAmple": "exact", "a.shop.example": "exact", "b.shop.example": "wild", "B.SHOP.example": "wild",
		"a.b.shop.example": "default", ".shop.example": "default", "*.shop.example": "wild", "both.example": "both-ec", "twice.example": "later",
		strings.Repeat("x", 300) + ".shop.example": "default",
	} {
		if got := nameOf(t, set, modern(name)); got != want {
			t.Errorf("%q gets %s, want %s", name, got, want)
		}
	}
	old := func(change func(h *tls.ClientHelloInfo)) *tls.ClientHelloInfo {
		h := &tls.ClientHelloInfo{
			ServerName: "both.example", SupportedVersions: []uint16{tls.VersionTLS12}, SupportedCurves: []tls.CurveID{tls.CurveP256},
			SignatureSchemes: []tls.SignatureScheme{tls.ECDSAWithP256AndSHA256, tls.PSSWithSHA256},
			CipherSuites:     []uint16{tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256},
		}
		change(h)
		return h
	}
	for what, test := range map[string]struct {
		hello *tls.ClientHelloInfo
		want  string
	}{
		"TLS 1.2 with all":         {old(func(*tls.ClientHelloInfo) {}), "both-ec"},
		"without ECDSA's suites":   {old(func(h *tls.ClientHelloInfo) { h.CipherSuites = h.CipherSuites[:1] }), "both-rsa"},
		"without the curve":        {old(func(h *tls.ClientHelloInfo) { h.SupportedCurves = []tls.CurveID{tls.X25519} }), "both-rsa"},
		"without ECDSA's schemes":  {old(func(h *tls.ClientHelloInfo) { h.SignatureSchemes = h.SignatureSchemes[1:] }), "both-rsa"},
		"TLS 1.3 with RSA only":    {&tls.ClientHelloInfo{ServerName: "both.example", SupportedVersions: []uint16{tls.VersionTLS13}, SignatureSchemes: []tls.SignatureScheme{tls.PSSWithSHA256}}, "both-rsa"},
		"without a name, RSA only": {&tls.ClientHelloInfo{SupportedVersions: []uint16{tls.VersionTLS13}, SignatureSchemes: []tls.SignatureScheme{tls.PSSWithSHA256}}, "default-rsa"},
	} {
		if got := nameOf(t, set, test.hello); got != test.want {
			t.Errorf("%s gets %s, want %s", what, got, test.want)
		}
	}
}

// TestChooseAllocates0 demands that no choice of a certificate that is ready
// allocates.
func TestChooseAllocates0(t *testing.T) { //nolint:paralleltest // it counts allocations
	dir := t.TempDir()
	set := load(t, certificates.Source{Files: []certificates.Pair{
		write(t, dir, "a", rsaKey(), 30, "both.example"), write(t, dir, "b", ecKey(), 30, "both.example"), write(t, dir, "c", ecKey(), 30, "*.example"),
	}})
	for _, name := range []string{"", "both.example", "Both.Example", "x.example", "unknown"} {
		hello := modern(name)
		_ = nameOf(t, set, hello)
		if n := testing.AllocsPerRun(100, func() { _, _ = set.Choose(hello) }); n != 0 {
			t.Errorf("choosing for %q allocates %v times", name, n)
		}
	}
}

// TestBad gives files that can't be used, each in its way.
func TestBad(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	ec, rs := write(t, dir, "ec", ecKey(), 30, "a.example"), write(t, dir, "rsa", rsaKey(), 30, "a.example")
	_, edKey, _ := ed25519.GenerateKey(rand.Reader)
	ed := write(t, dir, "ed", edKey, 30, "a.example")
	other := write(t, dir, "other", must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)), 30, "b.example")
	text, encrypted := filepath.Join(dir, "text"), filepath.Join(dir, "encrypted")
	put(t, text, []byte("no PEM"))
	put(t, encrypted, pem.EncodeToMemory(&pem.Block{Type: "ENCRYPTED PRIVATE KEY", Bytes: []byte("x")}))
	for _, test := range []struct {
		pair certificates.Pair
		want string
	}{
		{certificates.Pair{Cert: ec.Cert, Key: other.Key}, "the key is not the certificate's"},
		{certificates.Pair{Cert: ec.Cert, Key: rs.Key}, "the key is not the certificate's"},
		{certificates.Pair{Cert: rs.Cert, Key: ec.Key}, "the key is not the certificate's"},
		{certificates.Pair{Cert: ed.Cert, Key: ec.Key}, "the key is not the certificate's"},
		{certificates.Pair{Cert: ec.Cert, Key: ec.Cert}, "no PEM block PRIVATE KEY"},
		{certificates.Pair{Cert: ec.Key, Key: ec.Key}, "no PEM block CERTIFICATE"},
		{certificates.Pair{Cert: text, Key: ec.Key}, "no PEM block CERTIFICATE"},
		{certificates.Pair{Cert: ec.Cert, Key: encrypted}, "encrypted"},
		{certificates.Pair{Cert: ec.Cert, Key: dir}, "can't be read"},
		{certificates.Pair{Cert: filepath.Join(dir, "none"), Key: ec.Key}, "no such file"},
	} {
		set := certificates.Load(certificates.Source{Files: []certificates.Pair{test.pair}}, nil, false)
		if len(set.Problems) != 1 || !strings.Contains(set.Problems[0].Error(), test.want) || set.Problems[0].Listed != 0 || set.Problems[0].Kept || len(set.All()) != 0 {
			t.Errorf("%v: %v, want %q", test.pair, set.Problems, test.want)
		}
		if got := nameOf(t, set, modern("a.example")); got != "there is no certificate" {
			t.Errorf("%v is used: %s", test.pair, got)
		}
	}
	for _, pair := range []certificates.Pair{ec, rs, ed} {
		if got := nameOf(t, load(t, certificates.Source{Files: []certificates.Pair{pair}}), modern("a.example")); got+".crt" != filepath.Base(pair.Cert) {
			t.Errorf("%v: %s", pair, got)
		}
	}
}

// TestDirectories finds pairs as tools lay them down, and nothing else.
func TestDirectories(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, dir, "a", ecKey(), 30, "a.example")
	move := func(from, to string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, to)), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(filepath.Join(dir, from), filepath.Join(dir, to)); err != nil {
			t.Fatal(err)
		}
	}
	write(t, dir, "b", ecKey(), 30, "b.example")
	move("b.crt", "b.pem")
	write(t, dir, "c", ecKey(), 30, "c.example") // certbot's
	move("c.crt", "c.example/fullchain.pem")
	move("c.key", "c.example/privkey.pem")
	write(t, dir, "d", ecKey(), 30, "d.example") // Kubernetes'
	move("d.crt", "..2026/tls.crt")
	move("d.key", "..2026/tls.key")
	for _, name := range []string{"tls.crt", "tls.key"} {
		if err := os.MkdirAll(filepath.Join(dir, "d"), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink("../..2026/"+name, filepath.Join(dir, "d", name)); err != nil {
			t.Fatal(err)
		}
	}
	write(t, dir, ".hidden", ecKey(), 30, "hidden.example")
	put(t, filepath.Join(dir, "alone.key"), []byte("a key without a certificate"))
	set := certificates.Load(certificates.Source{Directories: []string{dir}}, nil, false)
	for name, want := range map[string]string{"a.example": "a", "b.example": "b", "c.example": "c", "d.example": "d", "hidden.example": "a"} {
		if got := nameOf(t, set, modern(name)); got != want {
			t.Errorf("%s gets %s, want %s", name, got, want)
		}
	}
	if len(set.All()) != 4 || len(set.Problems) != 1 || set.Problems[0].Pair.Key != filepath.Join(dir, "alone.key") || set.Problems[0].Listed != -1 {
		t.Errorf("%d certificates, problems %v", len(set.All()), set.Problems)
	}
}

// TestRefresh changes files beneath a store.
func TestRefresh(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, dir, "a", ecKey(), 30, "a.example")
	write(t, dir, "b", ecKey(), 30, "b.example")
	listed := t.TempDir() // has no pairs but the one that is listed
	other := write(t, listed, "other", ecKey(), 30, "other.example")
	renamed := certificates.Pair{Cert: other.Cert + ".txt", Key: other.Key + ".txt"}
	if err := errors.Join(os.Rename(other.Cert, renamed.Cert), os.Rename(other.Key, renamed.Key)); err != nil {
		t.Fatal(err)
	}
	source := certificates.Source{Directories: []string{dir, listed}, Files: []certificates.Pair{renamed}}
	var store certificates.Store
	store.Use(source, load(t, source))
	serial := func(name string) int64 {
		return must(x509.ParseCertificate(must(store.Choose(modern(name))).Certificate[0])).SerialNumber.Int64()
	}
	looks := func(n int) (all certificates.Change) {
		for range n {
			change := store.Refresh()
			all.Taken, all.Gone, all.Broken = append(all.Taken, change.Taken...), append(all.Gone, change.Gone...), append(all.Broken, change.Broken...)
		}
		return all
	}
	if change := looks(4); len(change.Taken)+len(change.Gone)+len(change.Broken) > 0 {
		t.Errorf("without a change: %+v", change)
	}
	write(t, dir, "a", ecKey(), 60, "a.example")
	if change := looks(1); len(change.Taken) > 0 || serial("a.example") != 30 {
		t.Error("it is taken up while it may still be written")
	}
	if change := looks(1); len(change.Taken) != 1 || serial("a.example") != 60 || serial("b.example") != 30 {
		t.Errorf("the new one isn't taken up: %+v", change)
	}
	put(t, filepath.Join(dir, "a.key"), []byte("nothing"))
	if change := looks(4); len(change.Broken) != 1 || !change.Broken[0].Kept || serial("a.example") != 60 {
		t.Errorf("a broken one: %+v, want to be told once, and the old one to stay", change)
	}
	if err := os.Remove(filepath.Join(dir, "a.crt")); err != nil {
		t.Fatal(err)
	}
	if looks(2); serial("a.example") != 60 {
		t.Error("without its certificate the old one doesn't stay")
	}
	write(t, dir, "a", ecKey(), 90, "a.example")
	if looks(2); serial("a.example") != 90 || len(store.Current().Problems) != 0 {
		t.Errorf("it isn't mended: %v", store.Current().Problems)
	}
	remove := func(names ...string) {
		t.Helper()
		for _, name := range names {
			if err := os.Remove(filepath.Join(dir, name)); err != nil {
				t.Fatal(err)
			}
		}
	}
	remove("a.crt", "a.key")
	if change := looks(1); len(change.Gone) != 0 || serial("a.example") != 90 {
		t.Errorf("removed, or replaced by removing it first: %+v, want the next look to decide", change)
	}
	write(t, dir, "a", ecKey(), 95, "a.example")
	if change := looks(2); len(change.Gone) != 0 || serial("a.example") != 95 {
		t.Errorf("replaced by removing it first: %+v", change)
	}
	remove("a.crt", "a.key")
	if change := looks(2); len(change.Gone) != 1 || store.Current().Has("a.example") || !store.Current().Has("b.example") {
		t.Errorf("removed: %+v, want b to be what is left", change)
	}
	remove("b.crt", "b.key")
	if change := looks(4); len(change.Gone) != 0 || serial("b.example") != 30 || !strings.Contains(fmt.Sprint(store.Current().Problems), "it has no certificates any more") {
		t.Errorf("emptied: %+v %v", change, store.Current().Problems)
	}
	write(t, dir, "b", ecKey(), 30, "b.example")
	if change := looks(3); len(change.Broken) != 0 || len(store.Current().Problems) != 0 {
		t.Errorf("filled again: %+v %v", change, store.Current().Problems)
	}
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	if change := looks(3); len(change.Broken) != 2 || serial("b.example") != 30 { // the directory, and the pair
		t.Errorf("without the directory: %+v", change)
	}
}

// TestReady bounds the keys that are ready, and gives everybody the right one.
func TestReady(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	var source certificates.Source
	for i := range 6 {
		source.Files = append(source.Files, write(t, dir, fmt.Sprint(i), ecKey(), 30, fmt.Sprintf("%d.example", i)))
	}
	set := load(t, source)
	if n := set.Ready(); n != 0 {
		t.Errorf("%d are ready that nobody has asked for", n)
	}
	set.Bound(2)
	for i := range 30 {
		if want := fmt.Sprint(i * 5 % 6); nameOf(t, set, modern(want+".example")) != want {
			t.Errorf("%s.example gets another one", want)
		}
		if n := set.Ready(); n > 2 {
			t.Fatalf("%d are ready, want at most 2", n)
		}
	}
}

// many writes so many certificates into a directory.
func many(b *testing.B, n int) certificates.Source {
	b.Helper()
	dir := b.TempDir()
	for i := range n {
		write(b, dir, fmt.Sprint(i), ecKey(), 30, fmt.Sprintf("shop-%d.example.com", i), fmt.Sprintf("www.shop-%d.example.com", i))
	}
	return certificates.Source{Directories: []string{dir}}
}

// BenchmarkLoad reads 10,000 certificates, and says what each takes: at rest, and
// with its key ready.
func BenchmarkLoad(b *testing.B) {
	source := many(b, 10_000)
	for b.Loop() {
		before := heap()
		set := load(b, source)
		b.ReportMetric(float64(heap()-before)/10_000, "B/certificate")
		for i := range 4096 {
			_, _ = set.Choose(modern(fmt.Sprintf("shop-%d.example.com", i)))
		}
		b.ReportMetric(float64(heap()-before)/10_000, "B/certificate,4096-ready")
		runtime.KeepAlive(set)
	}
}

func heap() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// BenchmarkChoose is one choice among 10,000.
func BenchmarkChoose(b *testing.B) {
	set := load(b, many(b, 10_000))
	hello := modern("www.shop-4711.example.com")
	b.ReportAllocs()
	for b.Loop() {
		_, _ = set.Choose(hello)
	}
}
