package proxy_test

import (
	"encoding/json"
	"maps"
	"strings"
	"testing"

	"github.com/keystone-gateway/keystone-gateway/proxy"
)

// TestRanges demands that the range of each number which messages and the
// schema name is the one that is checked.
func TestRanges(t *testing.T) {
	t.Parallel()
	text, err := proxy.Schema()
	if err != nil {
		t.Fatal(err)
	}
	var root map[string]any
	if err := json.Unmarshal(text, &root); err != nil {
		t.Fatal(err)
	}
	tried := 0
	walkNumbers(root, nil, func(path []string, least, most any) {
		tried++
		for _, c := range []struct {
			limit any
			add   float64
		}{{least, 0}, {least, -1}, {most, 0}, {most, 1}} {
			number, ok := c.limit.(float64)
			if !ok {
				continue
			}
			config, _ := json.Marshal(withValue(path, number+c.add))
			if _, err := proxy.Parse("config.yaml", config); (err == nil) != (c.add == 0) {
				t.Errorf("%v: %v (of %v to %v): error %v", path, number+c.add, least, most, err)
			}
		}
	})
	if tried < 10 {
		t.Errorf("only %d numbers were found", tried)
	}
}

// walkNumbers calls f with the way to each number that has a range.
func walkNumbers(schema map[string]any, path []string, f func(path []string, least, most any)) {
	if items, ok := schema["items"].(map[string]any); ok {
		walkNumbers(items, append(path, "[]"), f)
	}
	properties, _ := schema["properties"].(map[string]any)
	for key, value := range properties {
		walkNumbers(value.(map[string]any), append(path[:len(path):len(path)], key), f)
	}
	kinds, _ := schema["type"].([]any)
	if len(kinds) == 2 && (kinds[0] == "integer" || kinds[0] == "number") && (schema["minimum"] != nil || schema["maximum"] != nil) {
		f(path, schema["minimum"], schema["maximum"])
	}
}

// needed is what policies need besides the number that is tried.
var needed = map[string]map[string]any{
	"basic_auth":  {"users": map[string]any{"a": "$2y$05$" + strings.Repeat("a", 53)}},
	"concurrency": {"max": 1}, "maintenance": {"text": "x"}, "rate_limit": {"rate": "1000000/s"}, "redirect": {"https": true},
}

// withValue is a configuration with a value at the end of a path.
func withValue(path []string, value any) map[string]any {
	service := map[string]any{"url": "http://127.0.0.1:1"}
	tenant := map[string]any{"name": "a", "domains": []string{"a.example.com"}, "services": []any{service}}
	config := map[string]any{"tenants": []any{tenant}}
	at := config
	for i, key := range path {
		switch {
		case key == "[]":
		case key == "policies":
			one := map[string]any{}
			for name, with := range needed { // of the policy that it is
				if name == path[i+2] {
					one[name] = maps.Clone(with)
				}
			}
			at[key], at = []any{one}, one
		case key == "routes":
			one := map[string]any{"path": "/x"}
			if path[i+2] == "redirect" {
				one["redirect"] = map[string]any{"to": "/y"}
			}
			at[key], at = []any{one}, one
		case needed[key] != nil && at[key] != nil:
			at = at[key].(map[string]any)
		case i == len(path)-1:
			at[key] = value
		case key == "tenants":
			at = tenant
		case key == "services":
			at = service
		case key == "listeners":
			at = map[string]any{"address": "127.0.0.1:2"}
			config[key] = []any{at}
		default:
			at[key] = map[string]any{}
			at = at[key].(map[string]any)
		}
	}
	return config
}
