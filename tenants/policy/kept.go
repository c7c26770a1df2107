package policy

import (
	"reflect"
	"sync"
)

// Kept is what policies keep from one generation of the configuration to the next: one
// value of a type.
type Kept struct {
	mu     sync.Mutex
	values map[reflect.Type]any
}

// Keep returns the value of its type that there is, or else a fresh one, which is kept
// from then on. What is kept nowhere is fresh each time: k is nil.
func Keep[T any](k *Kept, fresh func() *T) *T {
	if k == nil {
		return fresh()
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	t := reflect.TypeFor[T]()
	if have, ok := k.values[t].(*T); ok {
		return have
	}
	value := fresh()
	if k.values == nil {
		k.values = map[reflect.Type]any{}
	}
	k.values[t] = value
	return value
}
