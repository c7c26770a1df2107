//go:build amd64 || arm64

package vm

// stackInUse is how many bytes of the goroutine's stack are in use.
func stackInUse() int
