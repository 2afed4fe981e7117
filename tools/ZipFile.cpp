// Reads a zip file by its central directory, which is at the end of the file
// and knows all sizes; the local headers are only skipped.
#include "ZipFile.h"

#include <cstdint>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <stdexcept>
#include <zlib.h>

namespace {

enum : uint32_t {
  LocalHeader = 0x04034b50,
  CentralHeader = 0x02014b50,
  End = 0x06054b50,
  End64 = 0x06064b50,
  End64Locator = 0x07064b50
};

/// Little-endian numbers out of a file's content, bounds checked.
struct Bytes {
  const std::string &path;
  const std::string &content;

  [[noreturn]] void damaged(const char *why) const {
    throw std::runtime_error("'" + path + "' is no readable zip file: " + why);
  }
  const char *at(uint64_t offset, uint64_t bytes) const {
    if (offset > content.size() || bytes > content.size() - offset)
      damaged("it points behind its own end");
    return content.data() + offset;
  }
  template <typename T> T get(uint64_t offset) const {
    T value;
    std::memcpy(&value, at(offset, sizeof value), sizeof value);
    return value;
  }
};

struct Entry {
  uint64_t compressed, size, offset;
};

/// Takes the values that did not fit 32 bits from the extra field 1.
void widen(const Bytes &file, uint64_t extra, uint64_t bytes, Entry &entry) {
  for (uint64_t end = extra + bytes; extra + 4 <= end;) {
    uint64_t next = extra + 4 + file.get<uint16_t>(extra + 2);
    if (file.get<uint16_t>(extra) == 1) {
      uint64_t at = extra + 4;
      for (uint64_t *field : {&entry.size, &entry.compressed, &entry.offset})
        if (*field == UINT32_MAX) {
          *field = file.get<uint64_t>(at);
          at += 8;
        }
    }
    extra = next;
  }
}

std::string inflate(const Bytes &file, const char *data, const Entry &entry) {
  if (entry.size / 1032 > entry.compressed) // deflate's best is 1032 to 1
    file.damaged("a member claims an impossible size");
  std::string result(entry.size, '\0');
  z_stream stream = {};
  if (inflateInit2(&stream, -MAX_WBITS) != Z_OK)
    file.damaged("zlib does not start");
  uint64_t in = 0, out = 0;
  int state = Z_OK;
  while (state == Z_OK) { // zlib counts in 32 bits
    uInt give = uInt(std::min<uint64_t>(entry.compressed - in, 1u << 30));
    uInt take = uInt(std::min<uint64_t>(entry.size - out, 1u << 30));
    stream.next_in = reinterpret_cast<Bytef *>(const_cast<char *>(data + in));
    stream.avail_in = give;
    stream.next_out = reinterpret_cast<Bytef *>(result.data() + out);
    stream.avail_out = take;
    state = inflate(&stream, Z_NO_FLUSH);
    in += give - stream.avail_in;
    out += take - stream.avail_out;
  }
  inflateEnd(&stream);
  if (state != Z_STREAM_END || out != entry.size)
    file.damaged("a member's compressed data is damaged");
  return result;
}

uint32_t checksum(const std::string &content) {
  uLong crc = crc32(0, nullptr, 0);
  for (size_t at = 0; at < content.size(); at += 1u << 30)
    crc = crc32(crc, reinterpret_cast<const Bytef *>(content.data() + at),
                uInt(std::min<size_t>(content.size() - at, 1u << 30)));
  return uint32_t(crc);
}

template <typename T> void put(std::string &out, T value) {
  out.append(reinterpret_cast<const char *>(&value), sizeof value);
}

} // namespace

std::string readFile(const std::string &path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream content;
  if (!file || std::filesystem::is_directory(path) ||
      !(content << file.rdbuf()))
    throw std::runtime_error("cannot read '" + path + "'");
  return std::move(content).str();
}

void writeFile(const std::string &path, const std::string &content) {
  std::string temporary = path + ".tmp";
  std::ofstream file(temporary, std::ios::binary);
  file.write(content.data(), std::streamsize(content.size()));
  file.close();
  if (!file || std::rename(temporary.c_str(), path.c_str()) != 0) {
    std::remove(temporary.c_str());
    throw std::runtime_error("cannot write '" + path + "'");
  }
}

std::vector<ZipMember> readZip(const std::string &path) {
  std::string content = readFile(path);
  Bytes file{path, content};
  size_t end = content.rfind("PK\5\6");
  if (end == std::string::npos)
    file.damaged("it has no end record");
  file.at(end, 22); // all of it
  uint64_t count = file.get<uint16_t>(end + 10),
           at = file.get<uint32_t>(end + 16);
  if ((count == UINT16_MAX || at == UINT32_MAX) && end >= 20 &&
      file.get<uint32_t>(end - 20) == End64Locator) {
    uint64_t end64 = file.get<uint64_t>(end - 20 + 8);
    if (file.get<uint32_t>(end64) != End64)
      file.damaged("its 64-bit end record is missing");
    count = file.get<uint64_t>(end64 + 32);
    at = file.get<uint64_t>(end64 + 48);
  }
  std::vector<ZipMember> members;
  for (; count > 0; --count) {
    if (file.get<uint32_t>(at) != CentralHeader)
      file.damaged("its directory is damaged");
    uint16_t flags = file.get<uint16_t>(at + 8),
             method = file.get<uint16_t>(at + 10),
             nameBytes = file.get<uint16_t>(at + 28),
             extraBytes = file.get<uint16_t>(at + 30),
             commentBytes = file.get<uint16_t>(at + 32);
    Entry entry = {file.get<uint32_t>(at + 20), file.get<uint32_t>(at + 24),
                   file.get<uint32_t>(at + 42)};
    ZipMember member;
    member.name.assign(file.at(at + 46, nameBytes), nameBytes);
    widen(file, at + 46 + nameBytes, extraBytes, entry);
    if (flags & 1)
      file.damaged("it is encrypted");
    if (file.get<uint32_t>(entry.offset) != LocalHeader)
      file.damaged("a member's header is missing");
    uint64_t start = entry.offset + 30 + file.get<uint16_t>(entry.offset + 26) +
                     file.get<uint16_t>(entry.offset + 28);
    const char *data = file.at(start, entry.compressed);
    if (method == 0)
      member.content.assign(data, entry.compressed);
    else if (method == 8)
      member.content = inflate(file, data, entry);
    else
      file.damaged("a member is neither stored nor deflated");
    if (checksum(member.content) != file.get<uint32_t>(at + 16))
      file.damaged("a member's checksum is wrong");
    members.push_back(std::move(member));
    at += 46 + nameBytes + extraBytes + commentBytes;
  }
  return members;
}

void writeZip(const std::string &path, const std::vector<ZipMember> &members) {
  constexpr uint16_t Version = 20, Stored = 0;
  constexpr uint16_t MidnightTime = 0, Date1980 = 33; // same input, same bytes
  std::string out, directory;
  for (const ZipMember &member : members) {
    if (out.size() + member.content.size() >= UINT32_MAX - 65536)
      throw std::runtime_error("'" + path +
                               "' would have more than 4 GiB; write a folder "
                               "instead");
    std::string header;
    put(header, Version);
    put(header, uint16_t(0x800)); // names are UTF-8
    put(header, Stored);
    put(header, MidnightTime);
    put(header, Date1980);
    put(header, checksum(member.content));
    put(header, uint32_t(member.content.size()));
    put(header, uint32_t(member.content.size()));
    put(header, uint16_t(member.name.size()));
    put(header, uint16_t(0)); // no extra field
    put(directory, uint32_t(CentralHeader));
    put(directory, Version);
    directory += header;
    directory.append(10, '\0'); // no comment, disk 0, no attributes
    put(directory, uint32_t(out.size()));
    directory += member.name;
    put(out, uint32_t(LocalHeader));
    out += header + member.name + member.content;
  }
  uint32_t start = uint32_t(out.size());
  out += directory;
  put(out, uint32_t(End));
  put(out, uint32_t(0)); // disks
  put(out, uint16_t(members.size()));
  put(out, uint16_t(members.size()));
  put(out, uint32_t(directory.size()));
  put(out, start);
  put(out, uint16_t(0)); // no comment
  writeFile(path, out);
}
