#include "dialects/States.h"
#include "dialects/Fulgur.h"
#include "mlir/Interfaces/FunctionInterfaces.h"

using namespace mlir;

bool fulgur::isStateArgument(Value value) {
  auto argument = dyn_cast<BlockArgument>(value);
  auto function =
      argument
          ? dyn_cast<FunctionOpInterface>(argument.getOwner()->getParentOp())
          : FunctionOpInterface();
  return function && function.getArgAttr(argument.getArgNumber(), kStateAttr);
}
