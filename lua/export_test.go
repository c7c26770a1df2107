package lua

// LimitMemory gives requests another lua.max_memory.
func (s *Scripts) LimitMemory(bytes int64) { s.limits.Memory = bytes }
