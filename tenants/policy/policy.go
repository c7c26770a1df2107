package policy

import (
	"context"
	"net/netip"
	"slices"
	"time"

	"github.com/keystone-gateway/keystone-gateway/proxy/message"
	"github.com/keystone-gateway/keystone-gateway/proxy/settings"
	"github.com/keystone-gateway/keystone-gateway/tenants/fetch"
	"github.com/keystone-gateway/keystone-gateway/tenants/route"
	"github.com/keystone-gateway/keystone-gateway/tenants/store"
)

// Section is what stands under a policy's key in the configuration. Its methods
// have a pointer as their receiver, so that Check can name its fields.
type Section interface {
	// Check reports everything that is wrong, at once. What New is given has passed
	// it.
	Check(r settings.Reporter)
	// New builds the policy. It may keep the section, which doesn't change any more.
	// It starts no goroutine and opens nothing that would have to be closed: what
	// outlives a generation of the configuration is in the store. An error leaves
	// the tenant on its last good generation.
	New(deps Deps) (Policy, error)
	// About is the same for all sections of the type, the zero value included.
	About() About
}

// Warner is a Section that knows what is allowed and seldom meant.
type Warner interface {
	// Warn tells of what a section that has passed Check has of it: field is a
	// pointer as Reporter.Errorf takes it.
	Warn(warn func(field any, format string, args ...any))
}

// Distinct is a Section that doesn't go with every other one of its kind.
type Distinct interface {
	// Clash says what is wrong with it if requests pass another one before it; "" is
	// nothing. Both have passed Check. field is a pointer as Reporter.Errorf takes it.
	Clash(earlier Section) (field any, wrong string)
}

// Loader is a Section that names files.
type Loader interface {
	// Load reads the files, once for each generation of the configuration, and reports
	// what is wrong with them; it comes after Check, whatever that has found. What it
	// keeps stays in the section, for New. The gateway watches what was read: a reload
	// finds it changed although the configuration's text is the same.
	Load(read ReadFile, r settings.Reporter)
}

// ReadFile returns the content of a regular file of at most limit bytes, by its path
// in the configuration. Nobody may change it, or keep it. Its error says why not,
// without the path.
type ReadFile func(path string, limit int64) ([]byte, error)

// About is what there is to know of a policy without a configuration.
type About struct {
	// Source is the text of the file that declares the section: its comments are
	// the reference and the schema's descriptions.
	Source string
	// Refusals are all that the policy answers with. No two policies have the same
	// code, unless they mean the same by it.
	Refusals []*Refusal
}

// Deps are what a policy may use of the gateway's. They are one tenant's.
type Deps struct {
	// Tenant is its name.
	Tenant string
	// Place is where the policy stands in the tenant's configuration, such as
	// "policies[3]": no other policy of the tenant has the same.
	Place string
	// Earlier are the sections of the same kind that stand before it.
	Earlier []Section
	// Kept has what outlives generations and isn't in the store.
	Kept struct {
		Tenant  *Kept // as long as there is the tenant
		Process *Kept // shared by all tenants
	}
	// Store is what the tenant's policies and scripts remember. Keys begin with the
	// policy's name and a colon, behind a NUL that no script's key has.
	Store store.Store
	// Shared counts together with other gateways; nil is nowhere. Whether the generation
	// that is built has such a store is WillShare, whether there is one now its Configured.
	Shared    store.Shared
	WillShare bool
	// Fetch is the beginning of a fetch.Config: what the gateway knows of itself, so
	// that no request gets around its guard. The policy adds what it allows.
	Fetch fetch.Config
	// Now is the time; nil is the system's.
	Now func() time.Time
	// Processor gives Go a processor more until release, for what computes for
	// milliseconds without a break; nil gives none.
	Processor func() (release func())
}

// Time is Now, or the system's.
func (d *Deps) Time() time.Time {
	if d.Now == nil {
		return time.Now()
	}
	return d.Now()
}

// Policy decides about requests. Its methods are called by many goroutines at
// once; what belongs to one request stands in that request's Memo.
type Policy interface {
	// Judge decides whether a request passes: nil, nil lets it, and must not
	// allocate. It may change the request's header. It may wait, only by
	// Request.Wait. An error means that there is no decision: the request is refused
	// with CodeFailed, so that a policy fails closed.
	Judge(r *Request) (*Answer, error)
}

// Amender is a policy that changes the head of final responses: those of targets
// and of scripts, and the gateway's own, errors included, also to requests that
// Judge has not been asked about because something else came before.
type Amender interface {
	Amend(r *Request, response *Response)
}

// Explainer is a policy that can say why a request has passed, in a sentence for
// whoever has a request traced. Answers and errors say it already.
type Explainer interface {
	Explain(r *Request) string
}

// Finisher is a policy that is told the end of each request that its Judge was
// asked about, whatever came of it. It must not wait.
type Finisher interface {
	Done(r *Request)
}

// Request is one request as its tenant's policies see it. All slices are valid
// until it ends, and nobody writes to them.
type Request struct {
	// ID is the request's id, as in X-Request-Id and in the log.
	ID     []byte
	Tenant string
	Method []byte
	// Host and Path are canonical (tenants/route).
	Host, Path []byte
	// Query has its "?", or is empty. A policy may replace it: scripts and targets get
	// what is left here.
	Query []byte
	// User is who has sent the request, as a policy has found out: for the log, and for
	// scripts; nil: nobody knows. At most MaxValue bytes.
	User []byte
	// Port is what the client has asked for, as far as it said; empty: the scheme's.
	Port []byte
	// Secure says whether the client has come by TLS, as far as is known.
	Secure bool
	// Certificate is what the client has proven who it is by; nil: nothing. It is
	// valid for ever.
	Certificate *message.Certificate
	// Client is the client's address, past trusted proxies; an IPv4 address in IPv6
	// is the IPv4 address. The zero Addr is one that isn't known: a client on a Unix
	// socket, or an Unnamed one.
	Client netip.Addr
	// Unnamed says of a client whose address isn't known that it has been introduced,
	// by the PROXY protocol (proxy/listener/proxyprotocol) or by a trusted proxy's
	// field, by somebody who doesn't say who it is, or not so that it can be read.
	Unnamed bool
	// Header has the request's fields. Those that are Dropped aren't passed on, and
	// are to be taken for absent. A policy changes names and values by replacing
	// slices, never in place.
	Header *message.Header
	// Memo is the policy's own.
	Memo *Memo
	// Waiter is what lets a policy wait, and read the body.
	Waiter Waiter
	// WouldAnswer is set by a policy that lets a request pass only because it is to be
	// tried without effect; it is counted, and unset again.
	WouldAnswer bool
	// Outer is the request as the policies around have left it, whose values those of a
	// route ask for too; nil: there are none.
	Outer *Request
	// Trace, if somebody has the request traced, is told of each policy that was asked.
	Trace func(s Step)

	memos  []Memo
	left   []left
	spared string // the first policy that has set WouldAnswer
	asked  int    // how many policies of the chain Judge was called of
	text   []byte // of values that Append has made
	key    []byte // once Key was asked for
	keyed  []byte // memory for it
}

// Step is what one policy has made of one request.
type Step struct {
	Route    string // "routes[3]", whose list it is; "" is the tenant's
	Index    int    // in the list
	Name     string
	Decision Decision
	Why      string // "" where the policy doesn't say
}

// Decision is what a policy decides about a request.
type Decision uint8

// The decisions.
const (
	Passed Decision = iota
	Answered
	Failed // there was none
)

func (d Decision) String() string { return [...]string{"passed", "answered", "failed"}[d] }

// Memo is what one policy keeps of one request, from Judge to Amend and Done. It
// is zero at first.
type Memo struct {
	Numbers [4]int64
	Text    []byte // valid as long as the request's slices
	Value   any
}

// Waiter is the request as what can be waited for.
type Waiter interface {
	// Wait calls f, which may block until ctx ends: when the client has gone or the
	// request has used up its time. Wait returns what f does, or why ctx ended, which
	// Judge returns as it is.
	Wait(f func(ctx context.Context) error) error
	// ReadBody returns all of the request's body, of at most limit bytes, and waits for
	// it. The body is sent on all the same. Judge returns its error as it is.
	ReadBody(limit int64) ([]byte, error)
}

// Wait calls f, as Waiter says.
func (r *Request) Wait(f func(ctx context.Context) error) error { return r.Waiter.Wait(f) }

// Spared is the name of the first policy that would have answered, if it weren't only
// tried; "" is none.
func (r *Request) Spared() string { return r.spared }

// ReadBody reads the body, as Waiter says.
func (r *Request) ReadBody(limit int64) ([]byte, error) { return r.Waiter.ReadBody(limit) }

// Append makes a value in memory that lasts as long as the request, and returns it:
// write appends to what it is given.
func (r *Request) Append(write func(dst []byte) []byte) []byte {
	begin := len(r.text)
	r.text = write(r.text)
	return r.text[begin:len(r.text):len(r.text)]
}

// Key is the path as everything that decides about paths compares it (route.Key). It
// is made once.
func (r *Request) Key() []byte {
	if r.key == nil {
		r.keyed = slices.Grow(r.keyed[:0], len(r.Path))
		r.key = route.Key(r.keyed, r.Path)
	}
	return r.key
}

// keepText is the largest memory of values that a request leaves to the next.
const keepText = 16 << 10

// Reset forgets the request, and keeps its memory.
func (r *Request) Reset() {
	clear(r.memos)
	clear(r.left)
	*r = Request{memos: r.memos[:0], left: r.left[:0], text: r.text[:0], keyed: r.keyed[:0]}
	if cap(r.text) > keepText {
		r.text = nil
	}
	if cap(r.keyed) > keepText {
		r.keyed = nil
	}
}

// Response is the head of a final response. Content-Length, Transfer-Encoding,
// Connection, Date and the gateway's own fields are none of it.
type Response struct {
	Status int
	Header *message.Header
}

// Refusal is an answer that is an error: its status and code never change their
// meaning, and docs/http.md lists them. The proxy words it, in JSON for those who
// ask for it.
type Refusal struct {
	Status  int
	Code    string // such as "ip_denied"
	Message string // a sentence for the client, which tells nothing of the configuration
}

// Answer is what a policy answers in the place of scripts and targets.
type Answer struct {
	// Refusal is what is answered with; nil for an answer that is no error.
	Refusal *Refusal
	// Status is that of such an answer, or one in the place of the refusal's; 0 is the
	// refusal's.
	Status int
	// Header has fields beside those of the proxy.
	Header message.Header
	// Body is that of an answer without a Refusal, or in the place of how that would be
	// worded; its type is in Header.
	Body []byte
	// Cause is what the log says of it; the client isn't told.
	Cause error
}

// CodeFailed is the code of requests about which a policy could not decide.
const CodeFailed = "policy_failed"
