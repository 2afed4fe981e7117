// AMX on CPUs without it: preloaded into a process (LD_PRELOAD), this computes
// the instructions on tiles when the CPU refuses them. As Intel's "Architecture
// Instruction Set Extensions Programming Reference" describes them, chapter 3,
// except that denormal numbers are kept. What it does not know ends the process
// as it would end without this.
#include <array>
#include <bit>
#include <csignal>
#include <cstdint>
#include <cstring>
#include <dlfcn.h>
#include <ucontext.h>

namespace {
struct Tile {
  int rows = 0, bytes = 0; ///< of each row
  unsigned char data[16][64] = {};
};
thread_local std::array<Tile, 8> tiles;

/// An instruction with a three-byte VEX prefix.
struct Instruction {
  const unsigned char *at; ///< its prefix
  greg_t *registers;

  int prefix() const { return at[2] & 3; } // none, 66, F3, F2
  int opcode() const { return at[3]; }
  int mod() const { return at[4] >> 6; }
  int reg() const { return at[4] >> 3 & 7; }
  int rm() const { return at[4] & 7; }
  int third() const { return ~(at[2] >> 3) & 7; } // vvvv, inverted
  bool hasIndex() const { return rm() == 4; }
  int offsetBytes() const {
    bool noBase = mod() == 0 && (hasIndex() ? (at[5] & 7) == 5 : rm() == 5);
    return mod() == 1 ? 1 : mod() == 2 || noBase ? 4 : 0;
  }
  int length() const { return mod() == 3 ? 5 : 5 + hasIndex() + offsetBytes(); }

  uint64_t general(int number) const {
    static constexpr int places[] = {
        REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI,
        REG_R8,  REG_R9,  REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15};
    return uint64_t(registers[places[number]]);
  }
  /// Base and displacement; the index is apart, as the distance of rows.
  unsigned char *address() const {
    int64_t offset = 0;
    const unsigned char *from = at + 5 + hasIndex();
    if (offsetBytes() == 1)
      offset = int8_t(*from);
    else if (offsetBytes() == 4) {
      int32_t wide;
      memcpy(&wide, from, sizeof wide);
      offset = wide;
    }
    int base = (hasIndex() ? at[5] & 7 : rm()) + (at[1] & 0x20 ? 0 : 8);
    if (mod() == 0 && !hasIndex() && rm() == 5)
      offset += int64_t(registers[REG_RIP]) + length();
    else if (mod() != 0 || (base & 7) != 5)
      offset += int64_t(general(base));
    return std::bit_cast<unsigned char *>(offset);
  }
  int64_t distance() const {
    int index = (at[5] >> 3 & 7) + (at[1] & 0x40 ? 0 : 8);
    return index == 4 ? 0 : int64_t(general(index)) << (at[5] >> 6);
  }
};

void configure(const unsigned char *memory) {
  for (int i = 0; i < 8; ++i) {
    tiles[i] = Tile();
    tiles[i].bytes = memory[16 + 2 * i];
    tiles[i].rows = memory[48 + i];
  }
}

template <typename T> T numberOf(const Tile &tile, int row, int number) {
  T value;
  memcpy(&value, tile.data[row] + number * sizeof value, sizeof value);
  return value;
}

float widened(const Tile &tile, int row, int number) {
  return std::bit_cast<float>(uint32_t(numberOf<uint16_t>(tile, row, number))
                              << 16);
}

/// For each sum the products of a row of `a` and a column of `b`.
template <typename T, typename Body>
void forSums(Tile &sums, const Tile &a, Body body) {
  for (int m = 0; m < sums.rows; ++m)
    for (int n = 0; n < sums.bytes / 4; ++n) {
      T sum = numberOf<T>(sums, m, n);
      body(sum, m, n, a.bytes / 4);
      memcpy(sums.data[m] + n * sizeof sum, &sum, sizeof sum);
    }
}

void multiplyBfloat16(Tile &sums, const Tile &a, const Tile &b) {
  forSums<float>(sums, a, [&](float &sum, int m, int n, int steps) {
    float even = 0, odd = 0;
    for (int k = 0; k < steps; ++k) {
      even += widened(a, m, 2 * k) * widened(b, k, 2 * n);
      odd += widened(a, m, 2 * k + 1) * widened(b, k, 2 * n + 1);
    }
    sum += even + odd;
  });
}

template <typename A, typename B>
void multiplyBytes(Tile &sums, const Tile &a, const Tile &b) {
  forSums<uint32_t>(sums, a, [&](uint32_t &sum, int m, int n, int steps) {
    for (int k = 0; k < 4 * steps; ++k)
      sum += uint32_t(int32_t(numberOf<A>(a, m, k)) *
                      numberOf<B>(b, k / 4, 4 * n + k % 4));
  });
}

/// False for what is no instruction on tiles.
bool execute(const Instruction &now) {
  if (now.at[0] != 0xc4 || (now.at[1] & 0x1f) != 2 || now.at[2] & 0x84)
    return false;
  enum { None, P66, PF3, PF2 };
  Tile &tile = tiles[now.reg()];
  const Tile &a = tiles[now.rm()], &b = tiles[now.third()];
  switch (now.opcode() << 2 | now.prefix()) {
  case 0x49 << 2 | None:
    if (now.mod() != 3)
      configure(now.address());
    else
      tiles = {};
    return true;
  case 0x49 << 2 | PF2:
    memset(tile.data, 0, sizeof tile.data);
    return now.mod() == 3;
  case 0x4b << 2 | PF2:
  case 0x4b << 2 | P66:
    memset(tile.data, 0, sizeof tile.data);
    for (int row = 0; row < tile.rows; ++row)
      memcpy(tile.data[row], now.address() + row * now.distance(), tile.bytes);
    return true;
  case 0x4b << 2 | PF3:
    for (int row = 0; row < tile.rows; ++row)
      memcpy(now.address() + row * now.distance(), tile.data[row], tile.bytes);
    return true;
  case 0x5c << 2 | PF3:
    return multiplyBfloat16(tile, a, b), true;
  case 0x5e << 2 | None:
    return multiplyBytes<uint8_t, uint8_t>(tile, a, b), true;
  case 0x5e << 2 | P66:
    return multiplyBytes<uint8_t, int8_t>(tile, a, b), true;
  case 0x5e << 2 | PF3:
    return multiplyBytes<int8_t, uint8_t>(tile, a, b), true;
  case 0x5e << 2 | PF2:
    return multiplyBytes<int8_t, int8_t>(tile, a, b), true;
  default:
    return false;
  }
}

void refused(int signal, siginfo_t *, void *context) {
  greg_t *registers = static_cast<ucontext_t *>(context)->uc_mcontext.gregs;
  Instruction now{std::bit_cast<const unsigned char *>(registers[REG_RIP]),
                  registers};
  if (execute(now))
    registers[REG_RIP] += now.length();
  else
    std::signal(signal, SIG_DFL); // and it is tried once more
}

using SetAction = int(int, const struct sigaction *, struct sigaction *);
SetAction *systems() {
  static auto *found =
      reinterpret_cast<SetAction *>(dlsym(RTLD_NEXT, "sigaction"));
  return found;
}

[[gnu::constructor]] void install() {
  struct sigaction action = {};
  action.sa_sigaction = refused;
  action.sa_flags = SA_SIGINFO;
  systems()(SIGILL, &action, nullptr);
}
} // namespace

/// LLVM's tools want to handle this signal too: they do not get it.
extern "C" int sigaction(int signal, const struct sigaction *action,
                         struct sigaction *old) noexcept {
  return systems()(signal, signal == SIGILL ? nullptr : action, old);
}
