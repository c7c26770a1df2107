package site_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/keystone-gateway/keystone-gateway/proxy/message"
	"github.com/keystone-gateway/keystone-gateway/proxy/settings"
	"github.com/keystone-gateway/keystone-gateway/tenants/site"
)

const content = "0123456789"

// at is when the file was changed.
var at = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// served is a site with one file.
func served(t testing.TB) *site.Site {
	t.Helper()
	dir := t.TempDir()
	path := filepath.Join(dir, "a.txt")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(path, at, at); err != nil {
		t.Fatal(err)
	}
	var c site.Config
	document := settings.Decode("c.yaml", []byte("root: x\n"), &c, nil)
	c.Load(func(string) (string, error) { return dir, nil }, document)
	if err := document.Err(); err != nil {
		t.Fatal(err)
	}
	return site.New(&c)
}

func open(t testing.TB) *site.File {
	t.Helper()
	file, err := served(t).Open("a.txt", func([]string) int { return -1 })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(file.Close)
	return file
}

// TestJudgeAsNetHTTP: conditions and ranges mean what net/http makes of them.
func TestJudgeAsNetHTTP(t *testing.T) {
	t.Parallel()
	file := open(t)
	tags := []string{"", "*", file.ETag, "W/" + file.ETag, `"x"`, `"x", ` + file.ETag, `"a,b", W/` + file.ETag}
	times := []string{"", at.Format(http.TimeFormat), at.Add(time.Hour).Format(http.TimeFormat), at.Add(-time.Hour).Format(http.TimeFormat), at.Format(time.RFC850)}
	ranges := []string{"", "bytes=0-", "bytes=3-5", "bytes=-4", "bytes=-40", "bytes=9-", "bytes=9-9", "bytes=10-", "bytes=0-99"}
	tried := 0
	try := func(fields ...string) {
		for _, method := range []string{"GET", "HEAD"} {
			request := httptest.NewRequest(method, "/a.txt", nil)
			var header message.Header
			for i := 0; i < len(fields); i += 2 {
				if fields[i+1] != "" {
					request.Header.Set(fields[i], fields[i+1])
					header.Add([]byte(fields[i]), []byte(fields[i+1]))
				}
			}
			if method == "HEAD" {
				request.Header.Del("Range") // which is for GET alone (RFC 9110 §14.2)
			}
			answer := httptest.NewRecorder()
			answer.Header().Set("ETag", file.ETag)
			http.ServeContent(answer, request, "a.txt", at, strings.NewReader(content))
			part := file.Judge(header, method == "HEAD")
			got := fmt.Sprint(part.Status, " ", content[part.From:part.From+part.Length])
			want := fmt.Sprint(answer.Code, " ", answer.Body)
			if method == "HEAD" || answer.Code > 299 {
				got, want = fmt.Sprint(part.Status), fmt.Sprint(answer.Code)
			}
			if got != want {
				t.Errorf("%s %q: got %s, want %s", method, fields, got, want)
			}
			tried++
		}
	}
	for _, match := range tags {
		for _, none := range tags {
			for _, modified := range times {
				for _, unmodified := range times {
					try("If-Match", match, "If-None-Match", none, "If-Modified-Since", modified, "If-Unmodified-Since", unmodified)
				}
			}
		}
	}
	for _, of := range ranges {
		for _, condition := range append(append([]string{}, tags[2:5]...), times...) {
			try("Range", of, "If-Range", condition)
		}
	}
	if tried < 2000 {
		t.Errorf("only %d were tried", tried)
	}
}

// FuzzJudge: whatever a client says, what it gets lies within the file.
func FuzzJudge(f *testing.F) {
	file := open(f)
	for _, seed := range []string{"bytes=0-1", "bytes=-0", "bytes=18446744073709551616-", "bytes=1-18446744073709551615", "bytes=0-1,2-3", "Bytes = 3 -"} {
		f.Add(seed, `"x", W/"y`, "Sun, 01 Mar 2026 12:00:00 GMT")
	}
	f.Fuzz(func(t *testing.T, of, tags, date string) {
		var header message.Header
		for name, value := range map[string]string{"Range": of, "If-None-Match": tags, "If-Match": tags, "If-Range": date, "If-Modified-Since": date} {
			header.Add([]byte(name), []byte(value))
			part := file.Judge(header, false)
			if part.From < 0 || part.Length < 0 || part.From+part.Length > file.Size() || part.Status == 206 && part.Length == 0 || part.Status == 200 && part.Length != file.Size() {
				t.Fatalf("%q %q %q: %+v", of, tags, date, part)
			}
		}
	})
}

// FuzzOpen: no name leads out of the directory, or to what isn't served.
func FuzzOpen(f *testing.F) {
	outside := f.TempDir()
	dir := filepath.Join(outside, "site")
	for _, name := range []string{"secret", "site/.hidden", "site/a/.b/c", "site/a/ok", "site/ok"} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(outside, name)), 0o700); err != nil {
			f.Fatal(err)
		}
		text := "secret"
		if strings.HasSuffix(name, "ok") {
			text = "served"
		}
		if err := os.WriteFile(filepath.Join(outside, name), []byte(text), 0o600); err != nil {
			f.Fatal(err)
		}
	}
	for name, to := range map[string]string{"up": "..", "l": "../secret", "abs": outside, "self": "."} {
		if err := os.Symlink(to, filepath.Join(dir, name)); err != nil {
			f.Fatal(err)
		}
	}
	var c site.Config
	document := settings.Decode("c.yaml", []byte("root: x\nfallback: a/ok\n"), &c, nil)
	c.Load(func(string) (string, error) { return dir, nil }, document)
	s := site.New(&c)
	for _, seed := range []string{"ok", "a/ok", "../secret", "a/../../secret", "up/secret", "l", "abs/secret", "self/self/ok", ".hidden", "a/.b/c", "/secret", "a//ok", "ok/", "a\\ok", "ok\x00"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, name string) {
		file, err := s.Open(name, func([]string) int { return 0 })
		if err != nil {
			if !errors.Is(err, site.ErrDirectory) {
				t.Fatalf("%q: %v, and there is a fallback", name, err)
			}
			return
		}
		defer file.Close()
		text := make([]byte, file.Size())
		if _, err := file.ReadAt(text, 0); err != nil || string(text) != "served" {
			t.Fatalf("%q: %q, %v", name, text, err)
		}
	})
}
