package acme

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"

	"github.com/keystone-gateway/keystone-gateway/proxy/cause"
)

// Ask says whether a name may have a certificate; an error is no answer. It returns
// soon after ctx is done, whose cause says why that is.
type Ask func(ctx context.Context, name string) (yes bool, err error)

// decides reports whether there is anybody to say which names of a tenant may have a
// certificate on demand.
func (p *Plan) decides(of owner) bool {
	return of.auto && (of.ask != nil || p.config.OnDemand.Ask != "")
}

// asked asks whether a name may have a certificate: the tenant that has it, and the
// URL. Each that there is has to say yes, and there has to be one. The error is that
// there was no answer; it has been logged, and both have been counted.
func (m *Manager) asked(ctx context.Context, p *Plan, name string) (yes bool, err error) {
	of, _ := p.names.find(name)
	if !p.decides(of) {
		return false, errors.New("nobody says any more which names may have a certificate")
	}
	if yes = true; of.ask != nil {
		yes, err = within(ctx, p, "the script's chi_tls_ask has no answer", name, of.ask)
	}
	if yes && p.config.OnDemand.Ask != "" {
		yes, err = within(ctx, p, "on_demand.ask was not answered", name, p.askURL)
	}
	switch {
	case err != nil:
		m.counters.unanswered.Add(1)
		m.log.Warn().Str("name", name).Str("tenant", of.tenant).Str("error", cause.Short(err)).Msg("a name gets no certificate on demand")
		return false, err
	case !yes:
		m.counters.refused.Add(1)
		return false, nil
	}
	m.counters.allowed.Add(1)
	return true, nil
}

// within asks, for on_demand.timeout at most.
func within(ctx context.Context, p *Plan, unanswered, name string, ask Ask) (yes bool, err error) {
	timeout := p.config.OnDemand.Timeout
	ctx, cancel := context.WithTimeoutCause(ctx, timeout.Std(), fmt.Errorf("on_demand.timeout %s is used up", timeout))
	defer cancel()
	if yes, err = ask(ctx, name); err != nil {
		return false, fmt.Errorf("%s: %w", unanswered, err)
	}
	return yes, nil
}

// askURL asks on_demand.ask. It follows no redirect.
func (p *Plan) askURL(ctx context.Context, name string) (yes bool, err error) {
	u, err := url.Parse(p.config.OnDemand.Ask)
	if err != nil {
		return false, err
	}
	query := u.Query()
	query.Set("domain", name)
	u.RawQuery = query.Encode()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return false, err
	}
	request.Header.Set("User-Agent", "keystone-gateway")
	response, err := p.asker.Do(request)
	if err != nil {
		return false, err
	}
	defer func() { _ = response.Body.Close() }()
	_, _ = io.Copy(io.Discard, io.LimitReader(response.Body, 4096)) // so that the connection is used again
	return response.StatusCode == http.StatusOK, nil
}
