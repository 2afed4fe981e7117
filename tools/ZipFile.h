// The subset of the zip format that .npz files use.
#ifndef FULGUR_TOOLS_ZIPFILE_H
#define FULGUR_TOOLS_ZIPFILE_H

#include <string>
#include <vector>

struct ZipMember {
  std::string name, content;
};

/// The members of a zip file (stored or deflated, 64-bit sizes too), with their
/// checksums checked. Throws std::runtime_error.
std::vector<ZipMember> readZip(const std::string &path);

/// Writes the members uncompressed. Throws std::runtime_error.
void writeZip(const std::string &path, const std::vector<ZipMember> &members);

/// All bytes of a file. Throws std::runtime_error.
std::string readFile(const std::string &path);

/// Writes a file under another name first, so that it is whole or not there.
/// Throws std::runtime_error.
void writeFile(const std::string &path, const std::string &content);

#endif // FULGUR_TOOLS_ZIPFILE_H
