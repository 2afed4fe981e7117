// bufferization: where tensors and memory meet. A tensor made of a memref has
// the elements that the memory has at that moment.
#include "mlir/Dialect/Bufferization/IR/Bufferization.h"
#include "interpreter/Machine.h"

using namespace mlir;

namespace fulgur::interpreter {

void registerBufferization(Registry &registry) {
  registry.add<bufferization::ToTensorOp>(
      [](Machine &machine, const Step &step) {
        machine.set(step, 0, copyOf(machine.array(step, 0)));
      });
  registry.add<bufferization::ToBufferOp>(
      [](Machine &machine, const Step &step) {
        machine.set(step, 0, copyOf(machine.array(step, 0)));
      });
  registry.add<bufferization::AllocTensorOp>([](Machine &machine,
                                                const Step &step) {
    auto op = step.as<bufferization::AllocTensorOp>();
    if (op.getCopy())
      return machine.set(step, 0,
                         copyOf(machine.array(
                             step, op.getCopyMutable()[0].getOperandNumber())));
    machine.set(step, 0,
                makeArray(step.resultFormats[0],
                          machine.mixed(step, op.getType().getShape(), 0)));
  });
  registry.add<bufferization::MaterializeInDestinationOp>(
      [](Machine &machine, const Step &step) {
        if (step.op->getNumResults())
          return machine.set(step, 0, machine.value(step, 0));
        assign(machine, step, machine.array(step, 0), machine.array(step, 1));
      });
  registry.ignore<bufferization::DeallocTensorOp>();
}

} // namespace fulgur::interpreter
