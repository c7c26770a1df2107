package site

import (
	"path"
	"strings"
)

// mediaType is the Content-Type of files whose names end so.
type mediaType struct {
	name       string
	compresses bool // its bytes get fewer: variants are looked for
}

// unknownType is what browsers offer to save, and don't interpret.
var unknownType = &mediaType{name: "application/octet-stream", compresses: true}

// mediaTypes are the registered types (IANA) of the files of the web. The system's
// own tables aren't asked: the same directory gives the same answers everywhere.
var mediaTypes = func() map[string]*mediaType {
	all := map[string]*mediaType{}
	add := func(compresses bool, name string, endings ...string) {
		for _, ending := range endings {
			all[ending] = &mediaType{name, compresses}
		}
	}
	add(true, "text/html; charset=utf-8", "html", "htm")
	add(true, "text/css; charset=utf-8", "css")
	add(true, "text/javascript; charset=utf-8", "js", "mjs")
	add(true, "text/plain; charset=utf-8", "txt", "text", "log", "conf", "ini")
	add(true, "text/markdown; charset=utf-8", "md", "markdown")
	add(true, "text/csv; charset=utf-8", "csv")
	add(true, "text/xml; charset=utf-8", "xml", "xsl")
	add(true, "text/calendar; charset=utf-8", "ics")
	add(true, "text/vtt; charset=utf-8", "vtt")
	add(true, "text/vcard; charset=utf-8", "vcf")
	add(true, "application/json", "json", "map")
	add(true, "application/ld+json", "jsonld")
	add(true, "application/geo+json", "geojson")
	add(true, "application/manifest+json", "webmanifest")
	add(true, "application/yaml", "yaml", "yml")
	add(true, "application/wasm", "wasm")
	add(true, "application/xhtml+xml", "xhtml")
	add(true, "application/rss+xml", "rss")
	add(true, "application/atom+xml", "atom")
	add(true, "application/pdf", "pdf")
	add(true, "application/rtf", "rtf")
	add(true, "application/sql", "sql")
	add(true, "image/svg+xml", "svg")
	add(true, "image/bmp", "bmp")
	add(true, "image/vnd.microsoft.icon", "ico")
	add(true, "font/ttf", "ttf")
	add(true, "font/otf", "otf")
	add(true, "application/vnd.ms-fontobject", "eot")
	add(false, "font/woff", "woff")
	add(false, "font/woff2", "woff2")
	add(false, "image/png", "png")
	add(false, "image/apng", "apng")
	add(false, "image/jpeg", "jpg", "jpeg")
	add(false, "image/gif", "gif")
	add(false, "image/webp", "webp")
	add(false, "image/avif", "avif")
	add(false, "image/heic", "heic")
	add(false, "image/tiff", "tif", "tiff")
	add(false, "image/jxl", "jxl")
	add(false, "audio/mpeg", "mp3")
	add(false, "audio/mp4", "m4a")
	add(false, "audio/ogg", "ogg", "oga", "opus")
	add(false, "audio/wav", "wav")
	add(false, "audio/flac", "flac")
	add(false, "audio/aac", "aac")
	add(false, "video/mp4", "mp4", "m4v")
	add(false, "video/webm", "webm")
	add(false, "video/ogg", "ogv")
	add(false, "video/quicktime", "mov")
	add(false, "video/mp2t", "ts")
	add(true, "application/vnd.apple.mpegurl", "m3u8")
	add(true, "application/dash+xml", "mpd")
	add(false, "application/zip", "zip")
	add(false, "application/gzip", "gz", "tgz")
	add(false, "application/zstd", "zst")
	add(false, "application/x-brotli", "br")
	add(false, "application/x-bzip2", "bz2")
	add(false, "application/x-xz", "xz")
	add(false, "application/x-7z-compressed", "7z")
	add(true, "application/x-tar", "tar")
	add(false, "application/epub+zip", "epub")
	add(false, "application/vnd.openxmlformats-officedocument.wordprocessingml.document", "docx")
	add(false, "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", "xlsx")
	add(false, "application/vnd.openxmlformats-officedocument.presentationml.presentation", "pptx")
	return all
}()

func typeOf(name string) *mediaType {
	ending := path.Ext(name)
	if ending == "" {
		return unknownType
	}
	if kind := mediaTypes[strings.ToLower(ending[1:])]; kind != nil {
		return kind
	}
	return unknownType
}
