package site

import (
	"strconv"
	"time"

	"github.com/keystone-gateway/keystone-gateway/proxy/files"
)

// File is an open file that can be served. It belongs to one goroutine.
type File struct {
	*files.File
	// ContentType is the type of the file, also of a variant.
	ContentType string
	// Coding is the variant's; "" is the file itself. Varies says that others may get
	// another one.
	Coding string
	Varies bool
	// ETag is a strong one, of the time of the last change and the size, and Modified
	// that time in whole seconds.
	ETag     string
	Modified time.Time
}

func newFile(opened *files.File, kind *mediaType, coding string, varies bool) *File {
	f := &File{File: opened, ContentType: kind.name, Coding: coding, Varies: varies}
	changed := opened.Modified()
	tag := append(make([]byte, 0, 48), '"')
	tag = append(strconv.AppendInt(tag, changed.UnixNano(), 36), '-')
	tag = strconv.AppendInt(tag, opened.Size(), 36)
	if coding != "" {
		tag = append(append(tag, '-'), coding...)
	}
	f.ETag, f.Modified = string(append(tag, '"')), changed.UTC().Truncate(time.Second)
	return f
}
