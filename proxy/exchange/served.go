package exchange

import (
	"errors"
	"fmt"
	"strconv"
	"syscall"

	"github.com/keystone-gateway/keystone-gateway/lua"
	"github.com/keystone-gateway/keystone-gateway/proxy/memory"
	"github.com/keystone-gateway/keystone-gateway/proxy/message"
	"github.com/keystone-gateway/keystone-gateway/tenants/routing"
	"github.com/keystone-gateway/keystone-gateway/tenants/site"
)

// served is a file that is the response's body, until something takes its place: as a
// target's response is, its body isn't read before somebody wants it.
type served struct {
	is     bool
	header message.Header
	part   site.Part
	file   *site.File // nil: the body is in memory, as the response's
	done   func()     // gives the place of its descriptor back
}

// close closes the file.
func (s *served) close() {
	if s.file != nil {
		s.file.Close()
		s.done()
		s.file, s.done = nil, nil
	}
}

// serveFile makes the file that the request's path names the response.
func (x *exchange) serveFile(files *routing.Files) error {
	x.served.close() // of a route that was taken before
	x.served = served{}
	head := string(x.method) == "HEAD"
	if !head && string(x.method) != "GET" {
		return &lua.MethodError{Allow: "GET, HEAD"}
	}
	name := x.fileName()
	file, err := files.Site.Open(name, x.acceptedOf)
	if key := x.script.request.Key; err == nil && name == "" && key[len(key)-1] != '/' {
		file.Close()
		err = site.ErrDirectory // of the first one too, the links in its index start from its slash
	}
	if err != nil {
		return x.withoutFile(err)
	}
	part := file.Judge(x.Message.Header, head)
	x.served = served{is: true, part: part, header: x.headOf(file, part)}
	r := &x.response
	r.Target, r.Status, r.Header = true, part.Status, &x.served.header
	if r.Body = r.Body[:0]; part.Length <= keepBody || head {
		defer file.Close()
		return x.readFile(file)
	}
	done, err := files.Place()
	if err != nil {
		file.Close()
		return x.fileFault(faultFiles, err)
	}
	x.served.file, x.served.done = file, done
	return nil
}

// fileName is the name below the route's directory: what its path's "*" has taken, or the
// whole path, below the tenant's prefix if it is that which the route's has matched. A
// slash at the end stays, whether or not it makes a difference to routes. It is made of
// what paths are compared as, so that a file is served where policies have judged it.
func (x *exchange) fileName() string {
	r, key := x.routed, x.script.request.Key
	name := key[r.offset:]
	if r.route.EveryPath() {
		name = x.script.request.Below
	} else if begin, end, ok := r.params.Span("*"); ok {
		name = name[begin:end]
	}
	if len(name) > 0 && name[0] == '/' {
		name = name[1:]
	}
	written := message.AppendUnescaped(x.values, name)
	if len(name) > 0 && name[len(name)-1] != '/' && key[len(key)-1] == '/' {
		written = append(written, '/')
	}
	return string(x.keepValue(written))
}

// acceptedOf chooses one of some codings that the client takes; -1 is none.
func (x *exchange) acceptedOf(codings []string) int {
	var ids [codingCount]codingID
	for i, name := range codings {
		ids[i] = codingNamed(name)
	}
	chosen := accepted(x.Message.Header, ids[:len(codings)])
	for i := range codings {
		if ids[i] == chosen {
			return i
		}
	}
	return -1
}

// withoutFile says what there is in the place of a file.
func (x *exchange) withoutFile(err error) error {
	switch {
	case errors.Is(err, site.ErrDirectory):
		x.local(308, "", nil)
		location := append(append(append(x.values, x.Path...), '/'), x.query...)
		x.response.Local.Set(locationName, x.keepValue(location))
		return nil
	case errors.Is(err, site.ErrNotFound):
		return x.fileFault(faultNoFile, err)
	case errors.Is(err, syscall.EMFILE), errors.Is(err, syscall.ENFILE):
		return x.fileFault(faultFiles, err)
	}
	return x.fileFault(faultFileUnreadable, err)
}

func (x *exchange) fileFault(fault *Fault, why error) error {
	x.served = served{}
	return &caused{fault, why}
}

// headOf makes the fields of the response.
func (x *exchange) headOf(file *site.File, part site.Part) (h message.Header) {
	set := func(name, value []byte) { h.Set(name, value) }
	switch part.Status {
	case 206:
		value := strconv.AppendInt(append(x.values, "bytes "...), part.From, 10)
		value = strconv.AppendInt(append(value, '-'), part.From+part.Length-1, 10)
		set(rangeName, x.keepValue(strconv.AppendInt(append(value, '/'), file.Size(), 10)))
		fallthrough
	case 200:
		set(typeName, []byte(file.ContentType))
		set(modifiedName, x.keepValue(file.Modified.AppendFormat(x.values, "Mon, 02 Jan 2006 15:04:05 GMT")))
		set(acceptRangesName, bytesUnit)
		if file.Coding != "" {
			set(encodingName, []byte(file.Coding))
		}
	case 416:
		set(rangeName, x.keepValue(strconv.AppendInt(append(x.values, "bytes */"...), file.Size(), 10)))
	}
	if part.Status != 416 {
		set(tagName, []byte(file.ETag))
	}
	if file.Varies {
		set(varyName, variesBy)
	}
	return h
}

var (
	tagName, modifiedName, rangeName      = []byte("ETag"), []byte("Last-Modified"), []byte("Content-Range")
	acceptRangesName, bytesUnit, variesBy = []byte("Accept-Ranges"), []byte("bytes"), []byte("Accept-Encoding")
)

// readFile reads what is small enough to be the response's body, which needs no
// descriptor then, however slowly the client takes it.
func (x *exchange) readFile(file *site.File) error {
	part := x.served.part
	if string(x.method) == "HEAD" || part.Length == 0 {
		return nil
	}
	body := append(x.response.Body[:0], make([]byte, part.Length)...)
	x.response.Body = body
	if _, err := file.ReadAt(body, part.From); err != nil {
		x.response.Body = body[:0]
		return x.fileFault(faultFileUnreadable, err)
	}
	return nil
}

// passFile sends the file, or the part of it that is asked for.
func (x *exchange) passFile() error {
	s, r := &x.served, &x.response
	x.Status = r.Status
	if bodiless(x.Status) || (string(x.method) == "HEAD") != (string(x.Message.Method) == "HEAD") { // a script has changed them
		r.Target, r.Body = false, r.Body[:0]
		return x.respondLocally(true)
	}
	length := s.part.Length
	none := string(x.method) == "HEAD"
	if s.file != nil && !none {
		if err := x.hold(memory.LargeBuffer); err != nil {
			return err
		}
	}
	x.stream.Bound(x.bounds.writeIdle, x.bounds.minRate, x.call.Expiry)
	x.begin(length, none, true)
	if none || length == 0 {
		return x.endLocal(x.stream.End(nil))
	}
	to := x.encoded()
	defer to.release()
	err := x.writeFile(to)
	if err == nil {
		if err = to.end(nil); err != nil {
			err = &clientError{err}
		}
	}
	if err != nil {
		x.Code = x.cutCode(err)
		why := x.cutCause(err)
		if unreadable, ok := errors.AsType[*caused](err); ok {
			why = unreadable.why
		}
		x.Cause = fmt.Errorf("after %d bytes: %w", x.BytesOut, why)
		x.cutFor(x.Code)
	}
	return nil
}

// writeFile writes what is served.
func (x *exchange) writeFile(to encoded) error {
	s := &x.served
	if s.file == nil {
		x.BytesOut = int64(len(x.response.Body))
		if err := to.write(x.response.Body); err != nil {
			return &clientError{err}
		}
		return nil
	}
	buffer := memory.AcquireBuffer(memory.LargeBuffer)
	defer memory.ReleaseBuffer(buffer)
	return s.each(buffer, func(span []byte) error {
		x.BytesOut += int64(len(span))
		if err := to.write(span); err != nil {
			return &clientError{err}
		}
		return nil
	})
}

// each calls f for the content that is served, part by part.
func (s *served) each(buffer []byte, f func(span []byte) error) error {
	for at, left := s.part.From, s.part.Length; left > 0; {
		span := buffer[:min(left, int64(len(buffer)))]
		if _, err := s.file.ReadAt(span, at); err != nil {
			return &caused{faultFileUnreadable, err}
		}
		if err := f(span); err != nil {
			return err
		}
		at, left = at+int64(len(span)), left-int64(len(span))
	}
	return nil
}

// readServed reads all of the file for scripts.
func (x *exchange) readServed(limit int64) error {
	s, r := &x.served, &x.response
	if string(x.method) == "HEAD" {
		r.Target = false
		return nil
	}
	if s.part.Length > limit {
		return fmt.Errorf("the response's body has %d bytes, lua.max_body is %d", s.part.Length, limit)
	}
	if s.file != nil {
		buffer := memory.AcquireBuffer(memory.MediumBuffer)
		defer memory.ReleaseBuffer(buffer)
		err := s.each(buffer, func(span []byte) error { return x.appendResponse(span, limit) })
		if s.close(); err != nil {
			return x.end(err)
		}
	}
	r.Target = false
	return nil
}

// The faults of files.
var (
	faultNoFile         = &Fault{Status: 404, Code: "file_not_found", Message: "there is no such file"}
	faultFileUnreadable = &Fault{Status: 500, Code: "file_unreadable", Message: "the file can't be read"}
	faultFiles          = &Fault{Status: 503, Code: "files_busy", Message: "too many files are open", RetryAfter: 1}
)
