// What n2p2 says about every structure of an input.data: energy, then element and force of each atom.
//
// Build against n2p2's library (no part of it is in this project):
//   g++ -O3 -std=c++11 -I n2p2/include -I eigen predict.cpp n2p2/lib/libnnp.a -o n2p2_predict
// Use: n2p2_predict DIRECTORY
#include "Prediction.h"
#include "Structure.h"
#include <cstdio>
#include <fstream>
#include <string>

int main(int, char** arguments)
{
    std::string const folder = arguments[1];
    nnp::Prediction n2p2;
    n2p2.log.writeToStdout = false;
    n2p2.fileNameSettings = folder + "/input.nn";
    n2p2.fileNameScaling = folder + "/scaling.data";
    n2p2.formatWeightsFilesShort = folder + "/weights.%03zu.data";
    n2p2.setup();
    std::ifstream file(folder + "/input.data");
    while (file.peek() != EOF)
    {
        nnp::Structure& s = n2p2.structure;
        s.reset();
        s.setElementMap(n2p2.elementMap);
        s.readFromFile(file);
        n2p2.removeEnergyOffset(s);
        if (n2p2.useNormalization()) n2p2.convertToNormalizedUnits(s);
        n2p2.predict();
        printf("structure %.17g\n", s.energy);
        for (auto const& atom : s.atoms) printf("%.17g %.17g %.17g\n", atom.f[0], atom.f[1], atom.f[2]);
    }
    return 0;
}
